// The worker process: runs one attempt of one job. It claims the attempt from
// the server, runs the job on its own thread, keeps the lease alive with
// heartbeats that carry progress and messages, and reports the outcome.
//
// It stops
//   - when the server or SIGTERM says so: cooperatively, and reports it;
//   - when the attempt is no longer the current one (Aborted), or the server
//     was silent for longer than the lease: at once, without a report.
#ifndef QUANTD_JOBS_WORKER_H_
#define QUANTD_JOBS_WORKER_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace quantd {

struct WorkerOptions {
  // host:port of the server.
  std::string server_address;
  // "jobs/{id}".
  std::string job;
  uint32_t attempt = 0;
  // The attempt's secret.
  std::string token;
  // What a job gets to notice that it was told to stop, when nobody waits for
  // its report; then the process ends.
  absl::Duration stop_time = absl::Seconds(2);
};

// Exit codes of the process.
enum WorkerExitCode : int {
  kWorkerReported = 0,  // also when what it reported is a failure
  kWorkerFailed = 1,    // could not claim or report
  kWorkerStale = 3,     // fenced off, or the server is gone
  kWorkerStopped = 4,   // told to stop before it had claimed
};

// Runs the attempt to its end and returns the exit code. Call it once, from
// main(), before any other thread exists: it blocks SIGTERM and SIGINT for the
// whole process and waits for them on a thread of its own. When the job does
// not heed a stop, it ends the process itself.
int RunWorkerMain(const WorkerOptions& options);

}  // namespace quantd

#endif  // QUANTD_JOBS_WORKER_H_
