#include "jobs/bounded_text.h"

#include "base/utf8.h"

namespace quantd {

std::string ToBoundedUtf8(absl::string_view text, size_t max_bytes) {
  const std::string valid = EscapeInvalidUtf8(text);
  return std::string(CutUtf8(valid, max_bytes));
}

}  // namespace quantd
