#include "evaluators/tasks/unicode_text.h"

#include <utf8proc.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "base/utf8.h"

namespace quantd {
namespace {

bool IsLeadByte(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
}

template <typename Map>
std::string MapCharacters(absl::string_view text, Map map) {
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    size_t length = 0;
    const char32_t character = DecodeUtf8(text, at, &length);
    AppendUtf8(
        static_cast<char32_t>(map(static_cast<utf8proc_int32_t>(character))),
        &result);
    at += length;
  }
  return result;
}

bool InSet(absl::string_view character, char32_t code, absl::string_view set) {
  return set.empty() ? IsBlank(code)
                     : set.find(character) != absl::string_view::npos;
}

}  // namespace

size_t CharacterCount(absl::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), IsLeadByte));
}

absl::string_view CharacterSlice(absl::string_view text, int64_t first,
                                 int64_t last) {
  first = std::max<int64_t>(first, 0);
  if (last <= first) return "";
  size_t begin = text.size();
  int64_t index = -1;
  for (size_t at = 0; at < text.size(); ++at) {
    if (!IsLeadByte(text[at])) continue;
    ++index;
    if (index == first) begin = at;
    if (index == last) return text.substr(begin, at - begin);
  }
  return text.substr(begin);
}

std::string LowerCase(absl::string_view text) {
  return MapCharacters(text, utf8proc_tolower);
}

std::string UpperCase(absl::string_view text) {
  return MapCharacters(text, utf8proc_toupper);
}

std::string Capitalize(absl::string_view text) {
  const absl::string_view first = CharacterSlice(text, 0, 1);
  return MapCharacters(first, utf8proc_totitle) +
         LowerCase(text.substr(first.size()));
}

std::string TitleLetters(absl::string_view text) {
  bool inside = false;
  return MapCharacters(text, [&](utf8proc_int32_t c) {
    const utf8proc_int32_t mapped =
        inside ? utf8proc_tolower(c) : utf8proc_totitle(c);
    const utf8proc_category_t category = utf8proc_category(c);
    inside = category == UTF8PROC_CATEGORY_LU ||
             category == UTF8PROC_CATEGORY_LL ||
             category == UTF8PROC_CATEGORY_LT;
    return mapped;
  });
}

std::string TitleWords(absl::string_view text) {
  constexpr absl::string_view kOpening = "-({[<";
  bool inside = false;
  return MapCharacters(text, [&](utf8proc_int32_t c) {
    const utf8proc_int32_t mapped =
        inside ? utf8proc_tolower(c) : utf8proc_toupper(c);
    inside = !IsBlank(static_cast<char32_t>(c)) &&
             !(c < 0x80 && absl::StrContains(kOpening, static_cast<char>(c)));
    return mapped;
  });
}

std::string Reversed(absl::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    size_t begin = text.size() - 1;
    while (!IsLeadByte(text[begin])) --begin;
    result.append(text.data() + begin, text.size() - begin);
    text.remove_suffix(text.size() - begin);
  }
  return result;
}

bool IsBlank(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 ||
         c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

absl::string_view StripLeft(absl::string_view text, absl::string_view set) {
  while (!text.empty()) {
    size_t length = 0;
    const char32_t code = DecodeUtf8(text, 0, &length);
    if (!InSet(text.substr(0, length), code, set)) break;
    text.remove_prefix(length);
  }
  return text;
}

absl::string_view StripRight(absl::string_view text, absl::string_view set) {
  while (!text.empty()) {
    size_t begin = text.size() - 1;
    while (!IsLeadByte(text[begin])) --begin;
    size_t length = 0;
    const char32_t code = DecodeUtf8(text, begin, &length);
    if (!InSet(text.substr(begin), code, set)) break;
    text.remove_suffix(length);
  }
  return text;
}

}  // namespace quantd
