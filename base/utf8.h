// UTF-8 as Unicode defines it: no overlong forms, no surrogates, nothing above
// U+10FFFF.
#ifndef QUANTD_BASE_UTF8_H_
#define QUANTD_BASE_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace quantd {

// Length in bytes of the longest prefix of whole, valid characters;
// text.size() when all of it is valid.
size_t ValidUtf8Prefix(absl::string_view text);

inline bool IsValidUtf8(absl::string_view text) {
  return ValidUtf8Prefix(text) == text.size();
}

// The code point that starts at `text[pos]`; `*length` receives its bytes.
// REQUIRES: valid UTF-8, pos at the start of a character.
char32_t DecodeUtf8(absl::string_view text, size_t pos, size_t* length);

// Appends a code point below 0x110000.
void AppendUtf8(char32_t code_point, std::string* text);

// Replaces each maximal invalid part by U+FFFD.
std::string ReplaceInvalidUtf8(absl::string_view text);

// Each byte of an invalid part as "\xff", all else as it is: for messages,
// which quote what came from outside and go on into proto strings, where other
// bytes make the whole answer unreadable.
std::string EscapeInvalidUtf8(absl::string_view text);

// The longest prefix of at most `max_bytes` that cuts no character in two.
// REQUIRES: valid UTF-8.
absl::string_view CutUtf8(absl::string_view text, size_t max_bytes);

}  // namespace quantd

#endif  // QUANTD_BASE_UTF8_H_
