// Little-endian bit streams of values whose width changes from value to value:
// the first value occupies the lowest bits of the first byte, the last byte is
// padded with zero bits. For one width throughout see PackBits()
// (grouped_codes.h), which writes the same bytes.
//
// Confined to one thread.
#ifndef QUANTD_MODELS_LAYOUTS_VARIED_BIT_STREAM_H_
#define QUANTD_MODELS_LAYOUTS_VARIED_BIT_STREAM_H_

#include <cstdint>
#include <string>
#include <utility>

namespace quantd {

// Bytes that `bits` bits take.
inline int64_t BytesForBits(int64_t bits) { return (bits + 7) / 8; }

class BitWriter {
 public:
  // Appends the lowest `width` bits of `value`. REQUIRES: width is in 1..8,
  // value < 2^width.
  void Put(uint32_t value, int width) {
    pending_ |= value << pending_bits_;
    pending_bits_ += width;
    if (pending_bits_ < 8) return;
    bytes_.push_back(static_cast<char>(pending_ & 0xFF));
    pending_ >>= 8;
    pending_bits_ -= 8;
  }

  // Pads to the next byte boundary.
  void Align() {
    if (pending_bits_ > 0) bytes_.push_back(static_cast<char>(pending_));
    pending_ = 0;
    pending_bits_ = 0;
  }

  // What was written, padded.
  std::string Finish() && {
    Align();
    return std::move(bytes_);
  }

 private:
  std::string bytes_;
  uint32_t pending_ = 0;
  int pending_bits_ = 0;
};

class BitReader {
 public:
  // Starts at bit `offset`. Reads no byte behind the values that are asked for.
  // REQUIRES: that byte exists, unless `offset` is a multiple of 8.
  explicit BitReader(const char* bytes, int64_t offset = 0)
      : next_(bytes + offset / 8) {
    if (const int skipped = static_cast<int>(offset % 8); skipped > 0) {
      pending_ = NextByte() >> skipped;
      pending_bits_ = 8 - skipped;
    }
  }

  // The next value. REQUIRES: width is in 1..8 and so many bits are left.
  uint32_t Get(int width) {
    if (pending_bits_ < width) {
      pending_ |= NextByte() << pending_bits_;
      pending_bits_ += 8;
    }
    const uint32_t value = pending_ & ((1u << width) - 1);
    pending_ >>= width;
    pending_bits_ -= width;
    return value;
  }

 private:
  uint32_t NextByte() { return static_cast<uint8_t>(*next_++); }

  const char* next_;
  uint32_t pending_ = 0;
  int pending_bits_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_VARIED_BIT_STREAM_H_
