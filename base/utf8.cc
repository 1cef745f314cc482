#include "base/utf8.h"

#include <cstdint>
#include <cstring>

#include "absl/strings/escaping.h"

namespace quantd {
namespace {

struct Sequence {
  size_t length;  // of the valid character, or of the invalid part
  bool valid;
};

// Looks at one character, after Unicode's table of well-formed sequences: only
// the second byte has a range that depends on the first.
Sequence Inspect(absl::string_view text, size_t pos) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(pos);
  if (first < 0x80) return {1, true};
  size_t length = 0;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;   // overlong
    if (first == 0xED) high = 0x9F;  // surrogates
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;   // overlong
    if (first == 0xF4) high = 0x8F;  // above U+10FFFF
  } else {
    return {1, false};
  }
  for (size_t i = 1; i < length; ++i) {
    if (pos + i >= text.size()) return {i, false};
    const uint8_t next = byte(pos + i);
    if (next < low || next > high) return {i, false};
    low = 0x80;
    high = 0xBF;
  }
  return {length, true};
}

}  // namespace

size_t ValidUtf8Prefix(absl::string_view text) {
  size_t pos = 0;
  while (pos < text.size()) {
    // Most text is ASCII: eight bytes at a time.
    while (pos + 8 <= text.size()) {
      uint64_t word;
      std::memcpy(&word, text.data() + pos, 8);
      if ((word & UINT64_C(0x8080808080808080)) != 0) break;
      pos += 8;
    }
    if (pos == text.size()) break;
    const Sequence sequence = Inspect(text, pos);
    if (!sequence.valid) return pos;
    pos += sequence.length;
  }
  return pos;
}

char32_t DecodeUtf8(absl::string_view text, size_t pos, size_t* length) {
  const auto byte = [&](size_t i) {
    return static_cast<char32_t>(static_cast<uint8_t>(text[pos + i]));
  };
  const char32_t first = byte(0);
  if (first < 0x80) {
    *length = 1;
    return first;
  }
  if (first < 0xE0) {
    *length = 2;
    return (first & 0x1F) << 6 | (byte(1) & 0x3F);
  }
  if (first < 0xF0) {
    *length = 3;
    return (first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
  }
  *length = 4;
  return (first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 |
         (byte(3) & 0x3F);
}

void AppendUtf8(char32_t code_point, std::string* text) {
  const auto put = [text](char32_t byte) {
    text->push_back(static_cast<char>(byte));
  };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3F));
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

namespace {

// `text` with what `replace` makes of each maximal invalid part in its place.
template <typename Replace>
std::string ReplaceInvalid(absl::string_view text, Replace replace) {
  std::string result;
  result.reserve(text.size());
  size_t pos = 0;
  while (pos < text.size()) {
    const size_t valid = ValidUtf8Prefix(text.substr(pos));
    result.append(text.data() + pos, valid);
    pos += valid;
    if (pos == text.size()) break;
    const size_t length = Inspect(text, pos).length;
    result.append(replace(text.substr(pos, length)));
    pos += length;
  }
  return result;
}

}  // namespace

std::string ReplaceInvalidUtf8(absl::string_view text) {
  return ReplaceInvalid(text, [](absl::string_view) { return "\xEF\xBF\xBD"; });
}

std::string EscapeInvalidUtf8(absl::string_view text) {
  return ReplaceInvalid(
      text, [](absl::string_view part) { return absl::CHexEscape(part); });
}

absl::string_view CutUtf8(absl::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  size_t end = max_bytes;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace quantd
