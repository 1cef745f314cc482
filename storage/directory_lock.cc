#include "storage/directory_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace quantd {
namespace {

std::string HolderOf(int fd) {
  char text[32];
  const ssize_t n = ::pread(fd, text, sizeof(text), 0);
  if (n <= 0) return "";
  const absl::string_view pid = absl::StripAsciiWhitespace(
      absl::string_view(text, static_cast<size_t>(n)));
  return absl::StrCat(" (process ", pid, ")");
}

// The process id goes into the file for the message above. Writing it also
// finds out here, before RocksDB does, that the disk is full or read-only.
absl::Status WriteHolder(int fd, const std::string& path) {
  const std::string pid = absl::StrCat(::getpid(), "\n");
  if (::ftruncate(fd, 0) != 0) return ErrnoToStatus(errno, "truncate", path);
  const ssize_t n = ::pwrite(fd, pid.data(), pid.size(), 0);
  if (n < 0) return ErrnoToStatus(errno, "write", path);
  if (static_cast<size_t>(n) < pid.size()) {
    return ErrnoToStatus(ENOSPC, "write", path);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<DirectoryLock>> DirectoryLock::Acquire(
    const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/LOCK");
  // Close-on-exec: a worker process must not keep the lock of a dead server.
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoToStatus(errno, "open", path);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    const std::string holder = HolderOf(fd);
    ::close(fd);
    if (error != EWOULDBLOCK) return ErrnoToStatus(error, "lock", path);
    return absl::FailedPreconditionError(
        absl::StrCat(directory, ": in use by another quantd", holder));
  }
  if (absl::Status written = WriteHolder(fd, path); !written.ok()) {
    ::close(fd);
    return written;
  }
  return std::unique_ptr<DirectoryLock>(new DirectoryLock(fd));
}

DirectoryLock::~DirectoryLock() { ::close(fd_); }

}  // namespace quantd
