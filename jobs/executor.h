// An Executor starts, watches and stops the worker of one attempt. It knows
// nothing of what the job does.
#ifndef QUANTD_JOBS_EXECUTOR_H_
#define QUANTD_JOBS_EXECUTOR_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace quantd {

// What a worker is started with.
struct WorkerLaunch {
  std::string job;  // "jobs/{id}"
  uint32_t attempt = 0;
  std::string token;     // secret of this attempt
  std::string log_path;  // standard output and error are appended here
};

// How a worker process ended, as far as the executor can see.
struct WorkerExit {
  std::string job;
  uint32_t attempt = 0;
  // "exit code 1", "killed by signal 9", "out of memory".
  std::string description;
  bool out_of_memory = false;
};

class Executor {
 public:
  virtual ~Executor() = default;

  // Persisted in logs and metrics: "local", "slurm".
  virtual absl::string_view name() const = 0;

  // Called once before the first Start(). `on_exit` is called from a thread
  // of the executor, once per started worker, after its process has ended.
  virtual void SetExitCallback(
      std::function<void(const WorkerExit&)> on_exit) = 0;

  // Jobs this executor runs at once.
  virtual int slots() const = 0;

  // ResourceExhausted or Unavailable when the process cannot be started.
  virtual absl::Status Start(const WorkerLaunch& launch) = 0;

  // Asks the attempt's worker to stop: SIGTERM now, SIGKILL after `grace`.
  // Fine if it is gone already.
  virtual void Stop(absl::string_view job, uint32_t attempt,
                    absl::Duration grace) = 0;

  // Kills whatever is left and joins the executor's threads.
  virtual void Shutdown() = 0;
};

}  // namespace quantd

#endif  // QUANTD_JOBS_EXECUTOR_H_
