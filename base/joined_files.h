// Data that lies in several files, found by a pattern and read as one.
//
//   ASSIGN_OR_RETURN(auto files, FindFiles(folder, "blimp/*.jsonl"));
//   ASSIGN_OR_RETURN(std::string data, ReadJoined(files, FileHead::kNone));
//
// Thread-safe: free functions of their arguments.
#ifndef QUANTD_BASE_JOINED_FILES_H_
#define QUANTD_BASE_JOINED_FILES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace quantd {

// The files below `folder` that `pattern` names, in the order of their names:
// a path, in whose last part every * stands for any characters or none, but not
// for the dot of a hidden file. NotFound names the path when there is none.
absl::StatusOr<std::vector<std::string>> FindFiles(const std::string& folder,
                                                   const std::string& pattern);

// Whether a file may begin with the names of its columns, as CSV does: one that
// does not begin with "{" is taken to.
enum class FileHead { kNone, kColumnNames };

// Contents as one text, with a line end between two files where the first has
// none; of several, what is compressed with bzip2 is decompressed. One file is
// as it lies. InvalidArgument names one of several that cannot be put together:
// with names of columns, or a JSON array. ResourceExhausted: more than 1 GiB.
absl::StatusOr<std::string> ReadJoined(absl::Span<const std::string> files,
                                       FileHead head);

}  // namespace quantd

#endif  // QUANTD_BASE_JOINED_FILES_H_
