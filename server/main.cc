// The quantd binary: `quantd serve` is the server, `quantd worker` the process
// that it starts for every attempt of a job.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/version.h"
#include "jobs/worker.h"
#include "server/command_line.h"
#include "server/json_log.h"
#include "server/quantd_server.h"

namespace quantd {
namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;

// The only way from a signal handler to a waiting thread: written by the
// handler, read by WaitForSignal().
int signal_pipe[2] = {-1, -1};

void OnSignal(int number) {
  const int saved = errno;
  const unsigned char byte = static_cast<unsigned char>(number);
  // A full pipe means that a signal waits already.
  (void)!::write(signal_pipe[1], &byte, 1);
  errno = saved;
}

// Handlers and not a blocked mask: workers inherit masks, and would then be
// deaf to SIGTERM. A second signal ends the process at once.
bool CatchTermination() {
  if (::pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  ::sigemptyset(&action.sa_mask);
  return ::sigaction(SIGTERM, &action, nullptr) == 0 &&
         ::sigaction(SIGINT, &action, nullptr) == 0;
}

int WaitForSignal() {
  pollfd wait = {};
  wait.fd = signal_pipe[0];
  wait.events = POLLIN;
  while (true) {
    unsigned char byte = 0;
    if (::poll(&wait, 1, -1) > 0 && ::read(signal_pipe[0], &byte, 1) == 1) {
      return byte;
    }
  }
}

std::string Help() {
  return absl::StrCat(
      "quantd ", Version(),
      ": compresses neural networks and proves what the compression cost\n\n"
      "  quantd serve --data-dir DIR [flags]   run the server\n"
      "  quantd worker ...                     run one attempt of a job "
      "(started by the server)\n"
      "  quantd --help | --version\n\n"
      "Flags of serve [default]:\n",
      ServeFlagsHelp(),
      "\nSIGTERM and SIGINT drain: running jobs get --drain-seconds and are "
      "requeued\notherwise; a second signal ends the server at once.\n");
}

int UsageError(const absl::Status& status) {
  fprintf(stderr, "quantd: %s\nTry: quantd --help\n",
          std::string(status.message()).c_str());
  return kExitUsage;
}

int Serve(const std::vector<std::string>& args) {
  const absl::StatusOr<ServerOptions> options = ParseServeFlags(args);
  if (!options.ok()) return UsageError(options.status());
  // A reader of the log or a peer that goes away must not end the server.
  ::signal(SIGPIPE, SIG_IGN);
  JsonLog log(options->log_level);
  if (!CatchTermination()) {
    log.Error("start_failed", "cannot install signal handlers",
              {{"why", strerror(errno)}});
    return kExitFailure;
  }
  absl::StatusOr<std::unique_ptr<QuantdServer>> server =
      QuantdServer::BuildAndStart(*options, &log);
  if (!server.ok()) {
    log.Error("start_failed", server.status().message(),
              {{"code", absl::StatusCodeToString(server.status().code())}});
    return kExitFailure;
  }
  log.Info("ready", "quantd is serving",
           {{"version", std::string(Version())},
            {"listen", options->listen},
            {"port", (*server)->port()},
            {"metrics_port", (*server)->metrics_port()},
            {"data_dir", options->data_directory},
            {"pid", ::getpid()}});
  const int signal_number = WaitForSignal();
  log.Info("draining", "shutting down",
           {{"signal", ::strsignal(signal_number)}});
  (*server)->Shutdown(options->drain);
  log.Info("stopped", "quantd has stopped");
  return 0;
}

int Work(const std::vector<std::string>& args) {
  const absl::StatusOr<WorkerOptions> options = ParseWorkerFlags(args);
  if (!options.ok()) return UsageError(options.status());
  return RunWorkerMain(*options);
}

int Main(std::vector<std::string> args) {
  const std::string command = args.empty() ? "" : args.front();
  if (!args.empty()) args.erase(args.begin());
  for (const std::string& arg : args) {
    if (arg == "--help") {
      fputs(Help().c_str(), stdout);
      return 0;
    }
  }
  if (command == "serve") return Serve(args);
  if (command == "worker") return Work(args);
  if (command == "--version" || command == "version") {
    printf("quantd %s\n", std::string(Version()).c_str());
    return 0;
  }
  if (command == "--help" || command == "help") {
    fputs(Help().c_str(), stdout);
    return 0;
  }
  return UsageError(absl::InvalidArgumentError(
      command.empty() ? "a subcommand is required"
                      : absl::StrCat("unknown subcommand ", command)));
}

}  // namespace
}  // namespace quantd

int main(int argc, char** argv) {
  return quantd::Main(std::vector<std::string>(argv + 1, argv + argc));
}
