// Reads the protobuf wire format field by field, from bytes nobody has
// checked. One message of a few fields is all that models/ ever reads, so it
// neither links protobuf nor has generated code.
//
// Source: protobuf.dev, "Encoding".
//
// Thread-compatible; points into the bytes it was made from.
#ifndef QUANTD_MODELS_TOKENIZERS_WIRE_READER_H_
#define QUANTD_MODELS_TOKENIZERS_WIRE_READER_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quantd {

enum class WireType : uint32_t {
  kVarint = 0,
  kFixed64 = 1,
  kBytes = 2,
  kFixed32 = 5,
};

struct WireField {
  uint32_t number = 0;
  WireType type = WireType::kVarint;
  uint64_t value = 0;       // of the three numeric types
  absl::string_view bytes;  // of kBytes
};

class WireReader {
 public:
  // `offset` is where `bytes` begin in the file, for messages.
  explicit WireReader(absl::string_view bytes, size_t offset = 0)
      : bytes_(bytes), offset_(offset) {}

  bool AtEnd() const { return pos_ == bytes_.size(); }

  // The next field. InvalidArgument names the byte of the file at which it is
  // cut short, has a number or type that does not exist, or is a group.
  // REQUIRES: !AtEnd().
  absl::StatusOr<WireField> Next();

  // Where in the file the bytes of the field that Next() returned last begin.
  size_t field_offset() const { return field_offset_; }

 private:
  absl::StatusOr<uint64_t> Varint();
  absl::StatusOr<uint64_t> Fixed(size_t bytes);
  absl::Status Fault(absl::string_view fault) const;

  const absl::string_view bytes_;
  const size_t offset_;
  size_t pos_ = 0;
  size_t field_offset_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_WIRE_READER_H_
