// Data files that are published as bzip2, read as they lie.
#ifndef QUANTD_BASE_BZIP2_H_
#define QUANTD_BASE_BZIP2_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quantd {

// Whether `bytes` begin like a bzip2 file.
bool IsBzip2(absl::string_view bytes);

// The content of one bzip2 file, or of several that were concatenated.
// InvalidArgument when the file is damaged or cut off; ResourceExhausted when
// the content would be larger than `max_bytes`.
absl::StatusOr<std::string> DecompressBzip2(absl::string_view bytes,
                                            uint64_t max_bytes);

}  // namespace quantd

#endif  // QUANTD_BASE_BZIP2_H_
