// Amounts of memory and disk as people write and read them.
#ifndef QUANTD_BASE_BYTE_SIZE_H_
#define QUANTD_BASE_BYTE_SIZE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quantd {

// "1610612736", "1536M", "1.5G", "1.5GiB": bytes, or a number with K, M, G or
// T, in powers of 1024 with or without "iB". InvalidArgument for anything
// else, and beyond 2^63.
absl::StatusOr<uint64_t> ParseByteSize(absl::string_view text);

// "512 B", "1.50 GiB".
std::string ByteSizeText(uint64_t bytes);

}  // namespace quantd

#endif  // QUANTD_BASE_BYTE_SIZE_H_
