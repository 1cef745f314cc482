// Runs workers as processes of this machine:
//
//   <worker_binary> <worker_args_prefix...> --server ADDRESS --job jobs/{id}
//       --attempt N
//
// with the attempt's secret in the environment variable
// QUANTD_ATTEMPT_TOKEN, where other users cannot see it. A worker dies with
// the server, so a killed server leaves no process behind.
#ifndef QUANTD_JOBS_LOCAL_EXECUTOR_H_
#define QUANTD_JOBS_LOCAL_EXECUTOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "jobs/executor.h"

namespace quantd {

inline constexpr char kAttemptTokenVariable[] = "QUANTD_ATTEMPT_TOKEN";

struct LocalExecutorOptions {
  // Absolute path.
  std::string worker_binary;
  std::vector<std::string> worker_args_prefix;
  // host:port at which workers reach the server.
  std::string server_address;
  // Workers at once, >= 1.
  int slots = 1;
  // What is kept of a worker's output; the log says where it was cut off.
  uint64_t max_log_bytes = uint64_t{16} << 20;
};

// Thread-safe. Two threads: one starts, watches and kills, one calls back.
std::unique_ptr<Executor> NewLocalExecutor(LocalExecutorOptions options);

}  // namespace quantd

#endif  // QUANTD_JOBS_LOCAL_EXECUTOR_H_
