// Text from anywhere made fit for a proto string.
#ifndef QUANTD_JOBS_BOUNDED_TEXT_H_
#define QUANTD_JOBS_BOUNDED_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace quantd {

// At most `max_bytes` of `text`, cut at a character boundary, with bytes that
// belong to no UTF-8 character escaped ("\xff"): messages may quote file names
// and file contents, and a message with other bytes cannot be parsed.
std::string ToBoundedUtf8(absl::string_view text, size_t max_bytes);

}  // namespace quantd

#endif  // QUANTD_JOBS_BOUNDED_TEXT_H_
