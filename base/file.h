// Files as the rest of quantd wants them: errors that carry the path and a
// meaningful code, durable writes, and read-only maps.
//
// errno maps to codes once, here: ENOENT -> NotFound, EACCES/EPERM/EROFS ->
// PermissionDenied, ENOSPC/EDQUOT -> ResourceExhausted, EEXIST ->
// AlreadyExists, anything else -> Unavailable for EIO, Internal otherwise.
#ifndef QUANTD_BASE_FILE_H_
#define QUANTD_BASE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace quantd {

// The status for the errno value `error` of `operation` ("open", "rename")
// on `path`.
absl::Status ErrnoToStatus(int error, absl::string_view operation,
                           absl::string_view path);

// Refuses files over `max_bytes` with ResourceExhausted before reading them.
absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     uint64_t max_bytes = UINT64_C(1) << 32);

// Calls `sink` with consecutive pieces of the file (at most 1 MiB each).
absl::Status ReadFileInChunks(const std::string& path,
                              absl::FunctionRef<void(absl::string_view)> sink);

// Writes `path` so that after a crash it holds either its old content or all
// of `content`: temporary name, fsync, rename, fsync of the directory.
absl::Status WriteFileDurably(const std::string& path,
                              absl::string_view content);

// The same with the concatenation of `pieces`, which is never copied.
absl::Status WritePiecesDurably(const std::string& path,
                                absl::Span<const absl::string_view> pieces);

// The same with a content that is made while it is written: `next` gives
// piece after piece, valid until the next call, and nothing at the end. Its
// error ends the write.
absl::Status WriteStreamDurably(
    const std::string& path,
    absl::FunctionRef<absl::StatusOr<std::optional<absl::string_view>>()> next);

// fsync of a file or a directory that already exists.
absl::Status SyncPath(const std::string& path);

// Bytes an unprivileged process may still write on the file system of `path`.
absl::StatusOr<uint64_t> FreeDiskBytes(const std::string& path);

// Creates `path` and its parents; fine if it exists.
absl::Status CreateDirectories(const std::string& path);

// A read-only memory map of a whole file. The bytes stay valid for the life
// of the object. A file that another process truncates while mapped raises
// SIGBUS on access, so map only files that are not rewritten in place.
class MappedFile {
 public:
  static absl::StatusOr<std::unique_ptr<MappedFile>> Open(
      const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  absl::string_view bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  // Tells the kernel that [offset, offset + size) is not needed soon, so a
  // streamed checkpoint does not stay resident. Purely advisory.
  void Release(size_t offset, size_t size) const;

 private:
  MappedFile(std::string path, const char* data, size_t size);

  const std::string path_;
  const char* const data_;
  const size_t size_;
};

}  // namespace quantd

#endif  // QUANTD_BASE_FILE_H_
