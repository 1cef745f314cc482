// Writes a tokenizer.model small enough to reason about, field by field, so
// that tests can also write broken ones.
#ifndef QUANTD_TESTS_TESTING_SENTENCE_PIECE_BYTES_H_
#define QUANTD_TESTS_TESTING_SENTENCE_PIECE_BYTES_H_

#include <cstdint>
#include <cstring>
#include <string>

namespace quantd::test {

inline std::string Varint(uint64_t value) {
  std::string bytes;
  while (value >= 0x80) {
    bytes.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  bytes.push_back(static_cast<char>(value));
  return bytes;
}

inline std::string VarintField(uint32_t number, uint64_t value) {
  return Varint(uint64_t{number} << 3) + Varint(value);
}

inline std::string BytesField(uint32_t number, const std::string& value) {
  return Varint(uint64_t{number} << 3 | 2) + Varint(value.size()) + value;
}

inline std::string FloatField(uint32_t number, float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  std::string bytes = Varint(uint64_t{number} << 3 | 5);
  for (int i = 0; i < 4; ++i) bytes.push_back(static_cast<char>(bits >> 8 * i));
  return bytes;
}

// The types of pieces, as the file has them.
inline constexpr int kNormalPiece = 1;
inline constexpr int kUnknownPiece = 2;
inline constexpr int kControlPiece = 3;
inline constexpr int kUserDefinedPiece = 4;
inline constexpr int kUnusedPiece = 5;
inline constexpr int kBytePiece = 6;

inline std::string PieceField(const std::string& text, float score,
                              int type = kNormalPiece) {
  return BytesField(1, BytesField(1, text) + FloatField(2, score) +
                           VarintField(3, static_cast<uint64_t>(type)));
}

// The types of models.
inline constexpr int kUnigramType = 1;
inline constexpr int kBpeType = 2;

inline std::string TrainerSpecField(int model_type,
                                    const std::string& more = "") {
  return BytesField(2,
                    VarintField(3, static_cast<uint64_t>(model_type)) + more);
}

// <unk> 0, <s> 1, </s> 2, U+2581 3, a 4, b 5, ab 6, U+2581 a 7, abab 8.
inline std::string SmallPieces() {
  return PieceField("<unk>", 0, kUnknownPiece) +
         PieceField("<s>", 0, kControlPiece) +
         PieceField("</s>", 0, kControlPiece) + PieceField("\xE2\x96\x81", -3) +
         PieceField("a", -4) + PieceField("b", -5) + PieceField("ab", -2) +
         PieceField(
             "\xE2\x96\x81"
             "a",
             -6) +
         PieceField("abab", -7);
}

}  // namespace quantd::test

#endif  // QUANTD_TESTS_TESTING_SENTENCE_PIECE_BYTES_H_
