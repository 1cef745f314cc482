#include "models/tokenizers/lowercase.h"

#include <utf8proc.h>

#include "base/utf8.h"

namespace quantd {

void AppendLowercase(char32_t c, std::string* text) {
  if (c < 0x80) {
    text->push_back(
        static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
    return;
  }
  // I with a dot: the only character whose lower case is two, i and the dot.
  constexpr char32_t kDottedI = 0x130;
  if (c == kDottedI) {
    text->append("i\xCC\x87");
    return;
  }
  AppendUtf8(
      static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))),
      text);
}

}  // namespace quantd
