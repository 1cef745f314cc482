#include "jobs/local_executor.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "base/status_macros.h"
#include "jobs/child_process.h"
#include "jobs/clock.h"

namespace quantd {
namespace {

// How often children are looked at where the kernel has no pidfd.
constexpr absl::Duration kPollWithoutPidfd = absl::Milliseconds(50);

class LocalExecutor final : public Executor {
 public:
  explicit LocalExecutor(LocalExecutorOptions options)
      : options_(std::move(options)),
        wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        supervisor_([this] { Supervise(); }),
        notifier_([this] { NotifyExits(); }) {}

  ~LocalExecutor() override {
    Shutdown();
    ::close(wake_fd_);
  }

  absl::string_view name() const override { return "local"; }
  int slots() const override { return options_.slots; }

  void SetExitCallback(
      std::function<void(const WorkerExit&)> on_exit) override {
    absl::MutexLock lock(&mutex_);
    on_exit_ = std::move(on_exit);
  }

  absl::Status Start(const WorkerLaunch& launch) override {
    // fork() belongs on the supervisor thread: the kernel ties a child's life
    // to the thread that made it.
    StartRequest request;
    request.launch = &launch;
    {
      absl::MutexLock lock(&mutex_);
      if (shutting_down_) {
        return absl::UnavailableError("the executor was shut down");
      }
      starts_.push_back(&request);
    }
    Wake();
    request.done.WaitForNotification();
    return request.status;
  }

  void Stop(absl::string_view job, uint32_t attempt,
            absl::Duration grace) override {
    {
      absl::MutexLock lock(&mutex_);
      stops_.push_back({std::string(job), attempt, grace});
    }
    Wake();
  }

  void Shutdown() override {
    {
      absl::MutexLock lock(&mutex_);
      shutting_down_ = true;
    }
    Wake();
    // The notifier ends after the last exit is delivered, so a second caller
    // also waits for that.
    absl::MutexLock lock(&join_mutex_);
    if (supervisor_.joinable()) supervisor_.join();
    if (notifier_.joinable()) notifier_.join();
  }

 private:
  struct StartRequest {
    const WorkerLaunch* launch = nullptr;
    absl::Status status;
    absl::Notification done;
  };
  struct StopRequest {
    std::string job;
    uint32_t attempt;
    absl::Duration grace;
  };
  // Confined to the supervisor thread.
  struct Child {
    std::string job;
    uint32_t attempt = 0;
    std::unique_ptr<ChildProcess> process;
    uint64_t oom_kills_before = 0;
    bool told_to_stop = false;
    absl::Duration kill_at = absl::InfiniteDuration();
    bool killed = false;
  };

  void Wake() {
    const uint64_t one = 1;
    // Only fails when the counter is full, and then it is readable anyway.
    [[maybe_unused]] const ssize_t written =
        ::write(wake_fd_, &one, sizeof(one));
  }

  void Supervise() {
    std::vector<Child> children;
    for (;;) {
      WaitForWork(children);
      for (Child& child : children) child.process->log().Copy();
      std::deque<StartRequest*> starts;
      std::deque<StopRequest> stops;
      bool shutting_down;
      {
        absl::MutexLock lock(&mutex_);
        starts.swap(starts_);
        stops.swap(stops_);
        shutting_down = shutting_down_;
      }
      for (StartRequest* request : starts) {
        request->status =
            shutting_down ? absl::UnavailableError("the executor was shut down")
                          : StartChild(*request->launch, children);
        request->done.Notify();
      }
      for (const StopRequest& stop : stops) StopChild(stop, children);
      for (Child& child : children) {
        if (!child.killed && (shutting_down || Now() >= child.kill_at)) {
          child.killed = true;
          child.process->Signal(SIGKILL);
        }
      }
      Reap(children);
      if (shutting_down && children.empty()) break;
    }
    absl::MutexLock lock(&mutex_);
    all_exited_ = true;
  }

  void WaitForWork(const std::vector<Child>& children) {
    std::vector<pollfd> fds = {{wake_fd_, POLLIN, 0}};
    absl::Duration timeout = absl::InfiniteDuration();
    for (const Child& child : children) {
      if (!child.killed) timeout = std::min(timeout, child.kill_at - Now());
      if (child.process->pidfd() >= 0) {
        fds.push_back({child.process->pidfd(), POLLIN, 0});
      } else {
        timeout = std::min(timeout, kPollWithoutPidfd);
      }
      if (const int fd = child.process->log().fd(); fd >= 0) {
        fds.push_back({fd, POLLIN, 0});
      }
    }
    int timeout_ms = -1;
    if (timeout < absl::InfiniteDuration()) {
      // Rounded up, or the last millisecond would be a busy loop.
      timeout_ms = static_cast<int>(std::clamp<int64_t>(
          absl::ToInt64Milliseconds(timeout) + 1, 0, 60 * 1000));
    }
    ::poll(fds.data(), fds.size(), timeout_ms);
    uint64_t count;
    [[maybe_unused]] const ssize_t got =
        ::read(wake_fd_, &count, sizeof(count));
  }

  absl::Status StartChild(const WorkerLaunch& launch,
                          std::vector<Child>& children) {
    if (static_cast<int>(children.size()) >= options_.slots) {
      return absl::ResourceExhaustedError(
          absl::StrCat("all ", options_.slots, " slots are taken"));
    }
    ChildCommand command;
    command.arguments.push_back(options_.worker_binary);
    command.arguments.insert(command.arguments.end(),
                             options_.worker_args_prefix.begin(),
                             options_.worker_args_prefix.end());
    for (const std::string& argument :
         {std::string("--server"), options_.server_address,
          std::string("--job"), launch.job, std::string("--attempt"),
          absl::StrCat(launch.attempt)}) {
      command.arguments.push_back(argument);
    }
    command.environment.push_back(
        absl::StrCat(kAttemptTokenVariable, "=", launch.token));
    command.log_path = launch.log_path;
    command.max_log_bytes = options_.max_log_bytes;
    const uint64_t oom_kills = KernelOomKills();
    ASSIGN_OR_RETURN(std::unique_ptr<ChildProcess> process,
                     ChildProcess::Spawn(command));
    Child& child = children.emplace_back();
    child.job = launch.job;
    child.attempt = launch.attempt;
    child.process = std::move(process);
    child.oom_kills_before = oom_kills;
    return absl::OkStatus();
  }

  void StopChild(const StopRequest& stop, std::vector<Child>& children) {
    for (Child& child : children) {
      if (child.job != stop.job || child.attempt != stop.attempt) continue;
      if (!child.told_to_stop && stop.grace > absl::ZeroDuration()) {
        child.process->Signal(SIGTERM);
      }
      child.told_to_stop = true;
      child.kill_at = std::min(child.kill_at, Now() + stop.grace);
    }
  }

  void Reap(std::vector<Child>& children) {
    for (auto it = children.begin(); it != children.end();) {
      const std::optional<ChildExit> exit = it->process->TryReap();
      if (!exit.has_value()) {
        ++it;
        continue;
      }
      WorkerExit worker_exit = Describe(*it, *exit);
      it = children.erase(it);
      absl::MutexLock lock(&mutex_);
      exits_.push_back(std::move(worker_exit));
    }
  }

  static WorkerExit Describe(const Child& child, const ChildExit& exit) {
    WorkerExit worker_exit;
    worker_exit.job = child.job;
    worker_exit.attempt = child.attempt;
    if (exit.signal == 0) {
      worker_exit.description = absl::StrCat("exit code ", exit.code);
      return worker_exit;
    }
    const char* signal_name = ::sigabbrev_np(exit.signal);
    worker_exit.description =
        absl::StrCat("killed by signal ", exit.signal, " (SIG",
                     signal_name != nullptr ? signal_name : "?", ")");
    if (exit.signal != SIGKILL) return worker_exit;
    if (child.killed) {
      absl::StrAppend(&worker_exit.description, " of the server");
    } else if (KernelOomKills() > child.oom_kills_before) {
      // The kernel does not say whom it killed; a SIGKILL that nobody here
      // sent, while it killed somebody for memory, was most likely that.
      worker_exit.out_of_memory = true;
      worker_exit.description = "out of memory";
    }
    return worker_exit;
  }

  void NotifyExits() {
    for (;;) {
      WorkerExit exit;
      std::function<void(const WorkerExit&)> on_exit;
      {
        absl::MutexLock lock(&mutex_);
        const auto has_news = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
          return !exits_.empty() || all_exited_;
        };
        mutex_.Await(absl::Condition(&has_news));
        if (exits_.empty()) return;
        exit = std::move(exits_.front());
        exits_.pop_front();
        on_exit = on_exit_;
      }
      if (on_exit) on_exit(exit);
    }
  }

  static absl::Duration Now() { return Clock::Real()->Monotonic(); }

  const LocalExecutorOptions options_;
  const int wake_fd_;

  absl::Mutex mutex_;
  std::function<void(const WorkerExit&)> on_exit_ ABSL_GUARDED_BY(mutex_);
  std::deque<StartRequest*> starts_ ABSL_GUARDED_BY(mutex_);
  std::deque<StopRequest> stops_ ABSL_GUARDED_BY(mutex_);
  std::deque<WorkerExit> exits_ ABSL_GUARDED_BY(mutex_);
  bool shutting_down_ ABSL_GUARDED_BY(mutex_) = false;
  // Set by the supervisor when it ends: no exit comes after those queued.
  bool all_exited_ ABSL_GUARDED_BY(mutex_) = false;

  absl::Mutex join_mutex_;
  // Last, so that everything they use exists before they start.
  std::thread supervisor_ ABSL_GUARDED_BY(join_mutex_);
  std::thread notifier_ ABSL_GUARDED_BY(join_mutex_);
};

}  // namespace

std::unique_ptr<Executor> NewLocalExecutor(LocalExecutorOptions options) {
  return std::make_unique<LocalExecutor>(std::move(options));
}

}  // namespace quantd
