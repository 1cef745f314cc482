#include "models/tokenizers/unicode_form.h"

#include <utf8proc.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

// By the value of UnicodeForm.
constexpr int kOptions[] = {
    UTF8PROC_STABLE | UTF8PROC_COMPOSE,
    UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
    UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
    UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
};

bool IsAscii(char c) { return static_cast<uint8_t>(c) < 0x80; }

// Normalizes one run into `buffer` and appends it. utf8proc decomposes to
// code points in place, then composes and encodes over the same memory.
absl::Status AppendRun(absl::string_view run, int options,
                       std::vector<utf8proc_int32_t>* buffer,
                       std::string* result) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(run.data());
  const auto size = static_cast<utf8proc_ssize_t>(run.size());
  const auto flags = static_cast<utf8proc_option_t>(options);
  utf8proc_ssize_t count = 0;
  while (true) {
    count = utf8proc_decompose(bytes, size, buffer->data(),
                               static_cast<utf8proc_ssize_t>(buffer->size()),
                               flags);
    if (count < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("normalization: ", utf8proc_errmsg(count)));
    }
    // Encoding puts a terminating zero behind the last code point.
    if (static_cast<size_t>(count) < buffer->size()) break;
    buffer->resize(static_cast<size_t>(count) + 1);
  }
  const utf8proc_ssize_t length =
      utf8proc_reencode(buffer->data(), count, flags);
  if (length < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("normalization: ", utf8proc_errmsg(length)));
  }
  result->append(reinterpret_cast<const char*>(buffer->data()),
                 static_cast<size_t>(length));
  return absl::OkStatus();
}

}  // namespace

// All four forms leave ASCII alone, and no ASCII character combines with what
// stands before it. So only the runs of other characters are worked on, each
// with the one ASCII character before it, which may combine with them.
absl::Status AppendInForm(absl::string_view text, UnicodeForm form,
                          std::string* result) {
  const int options = kOptions[static_cast<size_t>(form)];
  std::vector<utf8proc_int32_t> buffer(256);
  size_t pos = 0;
  while (pos < text.size()) {
    size_t run = pos;
    while (run < text.size() && IsAscii(text[run])) ++run;
    if (run == text.size()) {
      result->append(text.data() + pos, text.size() - pos);
      break;
    }
    if (run > pos) --run;
    result->append(text.data() + pos, run - pos);
    size_t end = run + 1;
    while (end < text.size() && !IsAscii(text[end])) ++end;
    RETURN_IF_ERROR(
        AppendRun(text.substr(run, end - run), options, &buffer, result));
    pos = end;
  }
  return absl::OkStatus();
}

}  // namespace quantd
