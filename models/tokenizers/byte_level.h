// The byte-level alphabet: tokenizer files write each byte of a token as one
// printable character. The 188 printable Latin-1 bytes stand for themselves;
// the other 68 are numbered in byte order from U+0100 on, so that a space is
// U+0120. Inside quantd tokens are plain bytes; this alphabet ends at the
// file's edge.
#ifndef QUANTD_MODELS_TOKENIZERS_BYTE_LEVEL_H_
#define QUANTD_MODELS_TOKENIZERS_BYTE_LEVEL_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace quantd {

// The character, in UTF-8, that stands for `byte`.
std::string ByteLevelSymbol(uint8_t byte);

// Appends the characters that stand for the bytes of `bytes`.
void AppendByteLevel(absl::string_view bytes, std::string* text);

// The bytes that `token` stands for; nullopt when a character of it is not in
// the alphabet. REQUIRES: valid UTF-8.
std::optional<std::string> BytesOfByteLevelToken(absl::string_view token);

// Whether `byte` occurs in any valid UTF-8 text.
bool OccursInUtf8(uint8_t byte);

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_BYTE_LEVEL_H_
