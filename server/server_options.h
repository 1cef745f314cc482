// How a server is set up. The defaults here are the only ones; the command
// line (command_line.h) shows and changes them.
#ifndef QUANTD_SERVER_SERVER_OPTIONS_H_
#define QUANTD_SERVER_SERVER_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "jobs/executor.h"
#include "server/json_log.h"

namespace quantd {

struct ServerOptions {
  // Holds everything the server keeps; created if absent.
  std::string data_directory;
  std::string listen = "127.0.0.1:50151";
  // Where /metrics, /livez and /readyz are served; empty = nowhere.
  std::string metrics_listen = "127.0.0.1:9464";
  // Jobs that run at once.
  int slots = 1;
  // Memory a job may use; 0 = 80 % of what this process can have (machine or
  // control group), divided by the slots.
  uint64_t job_memory_bytes = 0;
  // Calibration statistics that are kept for later jobs on the same model and
  // text; the least recently used go first. 0 = none are kept.
  uint64_t statistics_bytes = UINT64_C(4) << 30;
  // Scores kept for later evaluations of the same model; 0 = none.
  uint64_t score_bytes = UINT64_C(1) << 30;
  // A worker that is silent for so long has lost its attempt.
  absl::Duration lease = absl::Seconds(15);
  LogLevel log_level = LogLevel::kInfo;
  // Directories below which models may be registered; empty = anywhere.
  std::vector<std::string> model_roots;
  // Allows addresses that other machines reach. There is no authentication.
  bool insecure_listen = false;
  // Time that running jobs get on shutdown before their workers are stopped.
  absl::Duration drain = absl::Seconds(10);

  // A connection that is silent for so long is asked for a sign of life, and
  // closed when none comes in time.
  absl::Duration keepalive = absl::Seconds(30);
  absl::Duration keepalive_timeout = absl::Seconds(10);
  // A connection this old takes no more calls: its client makes a new one, and
  // finds another server behind a load balancer. Calls under way get the
  // grace, then they are broken off; watchers and workers take up again where
  // they were. Zero age: never.
  absl::Duration max_connection_age = absl::Hours(1);
  absl::Duration max_connection_age_grace = absl::Minutes(10);
  // A call that has waited so long for a thread is answered DeadlineExceeded
  // and not begun, whatever deadline its client has set. (One that has begun
  // is not interrupted: what it writes may be durable already.)
  absl::Duration max_call_wait = absl::Seconds(60);

  // Started as "<worker_binary> worker ...".
  std::string worker_binary = "/proc/self/exe";
  // Replaces the local executor in tests. The argument is where workers reach
  // the server.
  std::function<std::unique_ptr<Executor>(const std::string& server_address)>
      executor_factory;
};

}  // namespace quantd

#endif  // QUANTD_SERVER_SERVER_OPTIONS_H_
