// quantctl: environment, signals, and RunQuantctl().
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "client/quantctl.h"

namespace {

int TerminalColumns() {
  winsize size = {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20) {
    return size.ws_col;
  }
  return 80;
}

std::string EnvironmentVariable(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr ? "" : value;
}

// Turns SIGINT into Interrupts::Raise() on a thread of its own; blocked
// everywhere else, because threads started later inherit the mask. Shared,
// since the thread outlives main().
void HandleInterrupts(std::shared_ptr<quantd::Interrupts> interrupts) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([interrupts, signals] {
    int signal = 0;
    while (::sigwait(&signals, &signal) == 0) {
      if (!interrupts->Raise()) {
        ::_exit(static_cast<int>(quantd::ExitCode::kInterrupted));
      }
    }
  }).detach();
}

}  // namespace

int main(int argc, char** argv) {
  const auto interrupts = std::make_shared<quantd::Interrupts>();
  HandleInterrupts(interrupts);
  quantd::Environment environment;
  environment.out = &std::cout;
  environment.err = &std::cerr;
  environment.out_is_terminal = ::isatty(STDOUT_FILENO) != 0;
  environment.err_is_terminal = ::isatty(STDERR_FILENO) != 0;
  environment.columns = TerminalColumns();
  environment.server = EnvironmentVariable("QUANTD_SERVER");
  environment.no_color = !EnvironmentVariable("NO_COLOR").empty();
  environment.interrupts = interrupts.get();
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  return static_cast<int>(quantd::RunQuantctl(arguments, environment));
}
