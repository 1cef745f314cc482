// A child process in its own process group that cannot outlive its parent.
//
// Thread-compatible.
#ifndef QUANTD_JOBS_CHILD_PROCESS_H_
#define QUANTD_JOBS_CHILD_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/worker_log.h"

namespace quantd {

struct ChildCommand {
  // Path of the program, then its arguments.
  std::vector<std::string> arguments;
  // "NAME=value", added to the parent's environment.
  std::vector<std::string> environment;
  // Standard output and error are appended here up to `max_log_bytes`
  // (worker_log.h); input is empty.
  std::string log_path;
  uint64_t max_log_bytes = 0;
};

struct ChildExit {
  // The signal that killed it; 0 when it exited with `code`.
  int signal = 0;
  int code = 0;
};

class ChildProcess {
 public:
  // Must be called on a thread that lives as long as the child may: the kernel
  // kills the child when that thread ends. The child dumps no core and is what
  // the kernel kills first when memory runs out.
  // ResourceExhausted: no more processes or memory. Unavailable: the program
  // cannot be run, or the log not be written; with the reason.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Spawn(
      const ChildCommand& command);
  // Kills and reaps the child if it is still there.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Readable once the child has ended; -1 where the kernel has none to give.
  int pidfd() const { return pidfd_; }

  // What the child writes. Whoever waits for the child also waits for
  // log().fd() and then calls log().Copy(), or the child gets stuck.
  WorkerLog& log() { return *log_; }

  // To the child's whole group. REQUIRES: TryReap() has not succeeded.
  void Signal(int signal);

  // Whether it has ended, and how. What is left of its group is killed, and
  // what was written last is copied to the log.
  // REQUIRES: has not succeeded before.
  std::optional<ChildExit> TryReap();

 private:
  ChildProcess(pid_t pid, int pidfd, std::unique_ptr<WorkerLog> log)
      : pid_(pid), pidfd_(pidfd), log_(std::move(log)) {}

  const pid_t pid_;
  const int pidfd_;
  const std::unique_ptr<WorkerLog> log_;
  bool reaped_ = false;
};

// How often the kernel has killed a process of this machine for memory;
// 0 where it does not say.
uint64_t KernelOomKills();

}  // namespace quantd

#endif  // QUANTD_JOBS_CHILD_PROCESS_H_
