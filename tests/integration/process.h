// Starting, watching and killing the real programs.
#ifndef QUANTD_TESTS_INTEGRATION_PROCESS_H_
#define QUANTD_TESTS_INTEGRATION_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace quantd::test {

struct CommandResult {
  int exit_code = -1;
  std::string out;
  std::string err;
};

// Runs build/quantctl with `args` against `server` and waits for its end.
CommandResult RunQuantctl(const std::string& server,
                          const std::vector<std::string>& args);

// The JSON object that a command prints last, "--json" added to its `args`.
// Internal with what it said when it fails.
absl::StatusOr<nlohmann::json> RunQuantctlForJson(
    const std::string& server, std::vector<std::string> args);

// The bundled demo model and its texts.
std::string DemoModel();

// `quantd serve` as a child process on any free port. Killed with its workers
// when the object goes away. However it ends, a sanitizer's report in its log
// or in that of a worker fails the test.
class ServerProcess {
 public:
  // Waits until the server says it is ready.
  static absl::StatusOr<std::unique_ptr<ServerProcess>> Start(
      const std::string& data_directory,
      const std::vector<std::string>& more_flags = {});
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  const std::string& address() const { return address_; }
  int metrics_port() const { return metrics_port_; }

  // Pids of the worker processes now running.
  std::vector<pid_t> Workers() const;

  // Sends the signal and waits for the end; the exit code, or minus the signal
  // that killed it.
  int Stop(int signal);

  // All the server has written so far.
  std::string Log() const;

 private:
  ServerProcess() = default;
  void ExpectNoSanitizerReport() const;

  pid_t pid_ = -1;
  std::string data_directory_;
  std::string log_path_;
  std::string address_;
  int metrics_port_ = 0;
};

}  // namespace quantd::test

#endif  // QUANTD_TESTS_INTEGRATION_PROCESS_H_
