#include "jobs/bounded_text.h"

#include <algorithm>

namespace quantd {

std::string ToBoundedUtf8(absl::string_view text, size_t max_bytes) {
  std::string out;
  out.reserve(std::min(text.size(), max_bytes));
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    size_t length = 0;
    if (lead < 0x80) {
      length = 1;
    } else if (lead >= 0xC2 && lead < 0xE0) {
      length = 2;
    } else if (lead >= 0xE0 && lead < 0xF0) {
      length = 3;
    } else if (lead >= 0xF0 && lead < 0xF5) {
      length = 4;
    }
    bool valid = length > 0 && i + length <= text.size();
    for (size_t k = 1; valid && k < length; ++k) {
      valid = (static_cast<unsigned char>(text[i + k]) & 0xC0) == 0x80;
    }
    if (valid && length >= 3) {
      const auto second = static_cast<unsigned char>(text[i + 1]);
      // Overlong forms, surrogates, and beyond U+10FFFF.
      valid = !(lead == 0xE0 && second < 0xA0) &&
              !(lead == 0xED && second >= 0xA0) &&
              !(lead == 0xF0 && second < 0x90) &&
              !(lead == 0xF4 && second >= 0x90);
    }
    const absl::string_view piece =
        valid ? text.substr(i, length) : absl::string_view("?");
    if (out.size() + piece.size() > max_bytes) break;
    out.append(piece.data(), piece.size());
    i += valid ? length : 1;
  }
  return out;
}

}  // namespace quantd
