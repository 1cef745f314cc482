// One server per data directory: an exclusive lock on the file LOCK inside it,
// held for the life of the object. The kernel drops it when the process ends,
// however it ends.
//
// Thread-compatible.
#ifndef QUANTD_STORAGE_DIRECTORY_LOCK_H_
#define QUANTD_STORAGE_DIRECTORY_LOCK_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace quantd {

class DirectoryLock {
 public:
  // `directory` must exist. FailedPrecondition names it, and the process that
  // holds it where known. PermissionDenied / ResourceExhausted when the lock
  // file cannot be written.
  static absl::StatusOr<std::unique_ptr<DirectoryLock>> Acquire(
      const std::string& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}

  const int fd_;
};

}  // namespace quantd

#endif  // QUANTD_STORAGE_DIRECTORY_LOCK_H_
