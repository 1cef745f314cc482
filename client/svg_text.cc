#include "client/svg_text.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace quantd {
namespace {

// The length in bytes of the UTF-8 sequence at `at`, 0 where there is none or
// one of a character that XML 1.0 (section 2.2) excludes.
size_t CharacterLength(absl::string_view text, size_t at) {
  const auto byte = [&](size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const unsigned first = byte(at);
  if (first < 0x80) {
    const bool is_allowed =
        first >= 0x20 || first == '\t' || first == '\n' || first == '\r';
    return is_allowed ? 1 : 0;
  }
  const size_t length = first >= 0xf0   ? 4
                        : first >= 0xe0 ? 3
                        : first >= 0xc0 ? 2
                                        : 0;
  if (length == 0) return 0;
  unsigned code = first & (0x7fU >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(at + i) & 0x3f);
  }
  constexpr std::array<unsigned, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_excluded = code < kLeast[length] || code > 0x10ffff ||
                           (code >= 0xd800 && code < 0xe000) ||
                           code == 0xfffe || code == 0xffff;
  return is_excluded ? 0 : length;
}

// Of a character beyond ASCII, which may be of any script.
constexpr double kWidest = 1;

double WidthOf(char c) {
  const auto is_one_of = [c](absl::string_view characters) {
    return characters.find(c) != absl::string_view::npos;
  };
  if (is_one_of("iljI.,:;'|! ()[]/\\ftr-")) return 0.42;
  if (is_one_of("mwW%@")) return kWidest;
  if (is_one_of("&+=<>") ||
      absl::ascii_isupper(static_cast<unsigned char>(c))) {
    return 0.87;
  }
  return 0.64;
}

}  // namespace

std::string XmlEscape(absl::string_view text) {
  std::string escaped;
  for (size_t i = 0; i < text.size();) {
    const size_t length = CharacterLength(text, i);
    if (length == 0) {
      absl::StrAppend(&escaped, "\xef\xbf\xbd");
      ++i;
      continue;
    }
    switch (text[i]) {
      case '&':
        absl::StrAppend(&escaped, "&amp;");
        break;
      case '<':
        absl::StrAppend(&escaped, "&lt;");
        break;
      case '>':
        absl::StrAppend(&escaped, "&gt;");
        break;
      case '"':
        absl::StrAppend(&escaped, "&quot;");
        break;
      case '\'':
        absl::StrAppend(&escaped, "&apos;");
        break;
      default:
        absl::StrAppend(&escaped, text.substr(i, length));
    }
    i += length;
  }
  return escaped;
}

double TextWidth(absl::string_view text, double size) {
  double width = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t length = std::max<size_t>(1, CharacterLength(text, i));
    width += length > 1 ? kWidest : WidthOf(text[i]);
    i += length;
  }
  return width * size;
}

std::string FittedText(absl::string_view text, double size, double width) {
  constexpr char kEllipsis[] = "\xe2\x80\xa6";
  if (TextWidth(text, size) <= width) return std::string(text);
  std::vector<absl::string_view> characters;
  for (size_t i = 0; i < text.size();) {
    const size_t length = std::max<size_t>(1, CharacterLength(text, i));
    characters.push_back(text.substr(i, length));
    i += length;
  }
  for (size_t kept = characters.size(); kept-- > 0;) {
    std::string shorter;
    for (size_t i = 0; i < characters.size(); ++i) {
      const size_t begin = kept / 2 + kept % 2;
      if (i == begin) absl::StrAppend(&shorter, kEllipsis);
      if (i < begin || i >= characters.size() - kept / 2) {
        absl::StrAppend(&shorter, characters[i]);
      }
    }
    if (TextWidth(shorter, size) <= width) return shorter;
  }
  return "";
}

}  // namespace quantd
