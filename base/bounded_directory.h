// A directory of files that may be lost: caches on disk.
#ifndef QUANTD_BASE_BOUNDED_DIRECTORY_H_
#define QUANTD_BASE_BOUNDED_DIRECTORY_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace quantd {

// Removes the files of `directory` whose names end in `suffix`, those longest
// unused (by their time of modification) first, until the rest has at most
// `max_bytes`. Other processes may do the same meanwhile: a file that has gone
// is no error.
void DropOldestFiles(const std::string& directory, absl::string_view suffix,
                     uint64_t max_bytes);

// Marks a file as used now.
void TouchFile(const std::string& path);

}  // namespace quantd

#endif  // QUANTD_BASE_BOUNDED_DIRECTORY_H_
