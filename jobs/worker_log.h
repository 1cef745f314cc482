// The log of one worker: what a child process writes into a pipe goes to a
// file, up to a size. There the file ends with a line that says so, and the
// rest is read and thrown away: a worker that writes without end must neither
// fill the disk nor be held up. A disk that is full costs the log, never the
// job.
//
// Thread-compatible.
#ifndef QUANTD_JOBS_WORKER_LOG_H_
#define QUANTD_JOBS_WORKER_LOG_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace quantd {

class WorkerLog {
 public:
  // Takes both descriptors over: the non-blocking reading end of a pipe, and a
  // file opened for appending. What the file holds already counts.
  WorkerLog(int pipe_fd, int file_fd, uint64_t max_bytes);
  ~WorkerLog();
  WorkerLog(const WorkerLog&) = delete;
  WorkerLog& operator=(const WorkerLog&) = delete;

  // Readable when Copy() has something to do; -1 once every writer is gone.
  int fd() const { return pipe_fd_; }

  // Copies what is there, at most kMaxCopyBytes: a worker that writes faster
  // than it is read must not keep the caller forever.
  void Copy();

  // More than any pipe holds.
  static constexpr uint64_t kMaxCopyBytes = uint64_t{2} << 20;

 private:
  void Keep(absl::string_view bytes);
  void Write(absl::string_view bytes);

  int pipe_fd_;
  const int file_fd_;
  const uint64_t max_bytes_;
  uint64_t size_bytes_;
  bool cut_off_ = false;
};

}  // namespace quantd

#endif  // QUANTD_JOBS_WORKER_LOG_H_
