#include "models/tokenizers/byte_level.h"

#include <array>

#include "base/utf8.h"

namespace quantd {
namespace {

constexpr char32_t kFirstSubstitute = 0x100;

constexpr bool StandsForItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) ||
         byte >= 0xAE;
}

constexpr std::array<char32_t, 256> MakeAlphabet() {
  std::array<char32_t, 256> alphabet = {};
  char32_t substitute = kFirstSubstitute;
  for (int byte = 0; byte < 256; ++byte) {
    alphabet[static_cast<size_t>(byte)] =
        StandsForItself(byte) ? static_cast<char32_t>(byte) : substitute++;
  }
  return alphabet;
}

constexpr std::array<char32_t, 256> kAlphabet = MakeAlphabet();
constexpr size_t kInverseSize = 0x100 + 68;
static_assert(kAlphabet[' '] == 0x120 && kAlphabet[0xAD] == kInverseSize - 1);

constexpr std::array<int16_t, kInverseSize> MakeInverse() {
  std::array<int16_t, kInverseSize> inverse = {};
  for (int16_t& byte : inverse) byte = -1;
  for (size_t byte = 0; byte < 256; ++byte) {
    inverse[kAlphabet[byte]] = static_cast<int16_t>(byte);
  }
  return inverse;
}

constexpr std::array<int16_t, kInverseSize> kInverse = MakeInverse();

}  // namespace

std::string ByteLevelSymbol(uint8_t byte) {
  std::string symbol;
  AppendUtf8(kAlphabet[byte], &symbol);
  return symbol;
}

void AppendByteLevel(absl::string_view bytes, std::string* text) {
  text->reserve(text->size() + bytes.size());
  for (const char byte : bytes) {
    AppendUtf8(kAlphabet[static_cast<uint8_t>(byte)], text);
  }
}

std::optional<std::string> BytesOfByteLevelToken(absl::string_view token) {
  std::string bytes;
  size_t length = 0;
  for (size_t pos = 0; pos < token.size(); pos += length) {
    const char32_t symbol = DecodeUtf8(token, pos, &length);
    if (symbol >= kInverseSize || kInverse[symbol] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kInverse[symbol]));
  }
  return bytes;
}

bool OccursInUtf8(uint8_t byte) {
  return byte != 0xC0 && byte != 0xC1 && byte < 0xF5;
}

}  // namespace quantd
