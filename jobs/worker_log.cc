#include "jobs/worker_log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>

#include "absl/strings/str_cat.h"

namespace quantd {

WorkerLog::WorkerLog(int pipe_fd, int file_fd, uint64_t max_bytes)
    : pipe_fd_(pipe_fd), file_fd_(file_fd), max_bytes_(max_bytes) {
  struct stat info;
  size_bytes_ = ::fstat(file_fd_, &info) == 0
                    ? static_cast<uint64_t>(info.st_size)
                    : uint64_t{0};
}

WorkerLog::~WorkerLog() {
  if (pipe_fd_ >= 0) ::close(pipe_fd_);
  ::close(file_fd_);
}

void WorkerLog::Copy() {
  constexpr size_t kChunkBytes = size_t{64} << 10;
  std::array<char, kChunkBytes> buffer;
  uint64_t copied = 0;
  while (pipe_fd_ >= 0 && copied < kMaxCopyBytes) {
    const ssize_t n = ::read(pipe_fd_, buffer.data(), buffer.size());
    if (n > 0) {
      Keep(absl::string_view(buffer.data(), static_cast<size_t>(n)));
      copied += static_cast<uint64_t>(n);
    } else if (n == 0) {
      ::close(pipe_fd_);
      pipe_fd_ = -1;
    } else if (errno != EINTR) {
      return;  // EAGAIN: nothing more for now.
    }
  }
}

void WorkerLog::Keep(absl::string_view bytes) {
  if (cut_off_) return;
  const uint64_t room = size_bytes_ < max_bytes_ ? max_bytes_ - size_bytes_ : 0;
  Write(bytes.substr(0, room));
  if (bytes.size() <= room) return;
  cut_off_ = true;
  Write(
      absl::StrCat("\n[quantd] the log ends here: it has reached its limit of ",
                   max_bytes_, " bytes\n"));
}

void WorkerLog::Write(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(file_fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // These bytes are lost; the next may find room again.
    size_bytes_ += static_cast<uint64_t>(n);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace quantd
