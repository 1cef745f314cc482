#include "jobs/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace quantd {
namespace {

constexpr int kPidfdOpen = 434;  // SYS_pidfd_open, the same on every machine
constexpr unsigned kCloseRangeCloexec = 1u << 2;
constexpr int kCloseRange = 436;  // SYS_close_range

// Everything the child needs, made before fork(): between fork() and exec()
// only async-signal-safe calls are allowed.
struct Prepared {
  std::vector<char*> argv;
  std::vector<char*> envp;
  pid_t parent;
  int null_fd;
  int output_fd;
  int error_fd;
};

[[noreturn]] void FailChild(int error_fd) {
  const int error = errno;
  // The parent reads the reason; if it cannot, it sees the exit.
  [[maybe_unused]] const ssize_t written =
      ::write(error_fd, &error, sizeof(error));
  ::_exit(127);
}

[[noreturn]] void RunChild(const Prepared& prepared) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) FailChild(prepared.error_fd);
  // The parent may have died before the line above.
  if (::getppid() != prepared.parent) ::_exit(127);
  if (::setpgid(0, 0) != 0) FailChild(prepared.error_fd);

  // Signals the server handles or blocks start from their defaults.
  for (int signal :
       {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGCHLD, SIGUSR1, SIGUSR2}) {
    ::signal(signal, SIG_DFL);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);

  const rlimit no_core = {0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  // A worker's death costs one attempt, the server's costs the service.
  const int adj = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (adj >= 0) {
    [[maybe_unused]] const ssize_t written = ::write(adj, "500", 3);
    ::close(adj);
  }

  if (::dup2(prepared.null_fd, STDIN_FILENO) < 0 ||
      ::dup2(prepared.output_fd, STDOUT_FILENO) < 0 ||
      ::dup2(prepared.output_fd, STDERR_FILENO) < 0) {
    FailChild(prepared.error_fd);
  }
  // For descriptors of libraries that forgot; on kernels without the call
  // they stay open.
  ::syscall(kCloseRange, 3u, ~0u, kCloseRangeCloexec);
  ::execve(prepared.argv[0], prepared.argv.data(), prepared.envp.data());
  FailChild(prepared.error_fd);
}

absl::Status SpawnError(int error, const std::string& what) {
  const std::string message = absl::StrCat(what, ": ", std::strerror(error));
  if (error == EAGAIN || error == ENOMEM || error == EMFILE ||
      error == ENFILE || error == ENOSPC) {
    return absl::ResourceExhaustedError(message);
  }
  return absl::UnavailableError(message);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Spawn(
    const ChildCommand& command) {
  Prepared prepared;
  for (const std::string& argument : command.arguments) {
    prepared.argv.push_back(const_cast<char*>(argument.c_str()));
  }
  prepared.argv.push_back(nullptr);
  for (const std::string& variable : command.environment) {
    prepared.envp.push_back(const_cast<char*>(variable.c_str()));
  }
  for (char** variable = environ; *variable != nullptr; ++variable) {
    prepared.envp.push_back(*variable);
  }
  prepared.envp.push_back(nullptr);
  prepared.parent = ::getpid();

  prepared.null_fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (prepared.null_fd < 0) return SpawnError(errno, "open /dev/null");
  const absl::Cleanup close_null = [&] { ::close(prepared.null_fd); };
  const int log_fd = ::open(command.log_path.c_str(),
                            O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (log_fd < 0) return SpawnError(errno, command.log_path);
  absl::Cleanup close_log = [&] { ::close(log_fd); };
  int output[2];
  if (::pipe2(output, O_CLOEXEC) != 0) return SpawnError(errno, "pipe");
  prepared.output_fd = output[1];
  const absl::Cleanup close_output = [&] { ::close(output[1]); };
  // Only this end: the child's writes block as those to a file would.
  ::fcntl(output[0], F_SETFL, O_NONBLOCK);
  std::move(close_log).Cancel();
  auto log =
      std::make_unique<WorkerLog>(output[0], log_fd, command.max_log_bytes);
  // Closed by a successful exec; otherwise it carries the child's errno.
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) return SpawnError(errno, "pipe");
  const absl::Cleanup close_read = [&] { ::close(pipe[0]); };
  prepared.error_fd = pipe[1];

  const pid_t pid = ::fork();
  if (pid == 0) RunChild(prepared);
  const int fork_error = errno;
  ::close(pipe[1]);
  if (pid < 0) return SpawnError(fork_error, "fork");

  int child_error = 0;
  ssize_t got;
  do {
    got = ::read(pipe[0], &child_error, sizeof(child_error));
  } while (got < 0 && errno == EINTR);
  if (got == sizeof(child_error)) {
    ::waitpid(pid, nullptr, 0);
    return SpawnError(child_error, command.arguments[0]);
  }
  const int pidfd = static_cast<int>(::syscall(kPidfdOpen, pid, 0));
  return std::unique_ptr<ChildProcess>(
      new ChildProcess(pid, pidfd, std::move(log)));
}

ChildProcess::~ChildProcess() {
  if (!reaped_) {
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  if (pidfd_ >= 0) ::close(pidfd_);
}

void ChildProcess::Signal(int signal) {
  // The child is not reaped yet, so neither its id nor its group's can belong
  // to anyone else.
  ::kill(-pid_, signal);
}

std::optional<ChildExit> ChildProcess::TryReap() {
  siginfo_t info = {};
  if (::waitid(P_PID, static_cast<id_t>(pid_), &info,
               WEXITED | WNOHANG | WNOWAIT) != 0 ||
      info.si_pid == 0) {
    return std::nullopt;
  }
  // Its descendants go with it, while the group is still certainly its own.
  ::kill(-pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  reaped_ = true;
  log_->Copy();
  ChildExit exit;
  if (info.si_code == CLD_EXITED) {
    exit.code = info.si_status;
  } else {
    exit.signal = info.si_status;
  }
  return exit;
}

uint64_t KernelOomKills() {
  std::ifstream vmstat("/proc/vmstat");
  std::string name;
  uint64_t value;
  while (vmstat >> name >> value) {
    if (name == "oom_kill") return value;
  }
  return 0;
}

}  // namespace quantd
