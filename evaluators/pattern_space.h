// White space as the \s of Python's regular expressions over text means it:
// Unicode's White_Space and the four separators U+001C to U+001F. The harnesses
// whose numbers are reproduced here count words and trim by it.
//
// Thread-safe: free functions over their arguments, which are valid UTF-8.
#ifndef QUANTD_EVALUATORS_PATTERN_SPACE_H_
#define QUANTD_EVALUATORS_PATTERN_SPACE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace quantd {

bool IsPatternSpace(char32_t c);

// `text` without white space at its ends.
absl::string_view StripPatternSpace(absl::string_view text);

// Pieces of a split at every run of white space, empty pieces at the ends
// included: one more than there are runs.
uint64_t CountPieces(absl::string_view text);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_PATTERN_SPACE_H_
