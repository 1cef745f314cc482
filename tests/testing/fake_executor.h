// An executor without processes: it notes what it is told, and workers end
// when the test says so.
//
// Thread-safe.
#ifndef QUANTD_TESTS_TESTING_FAKE_EXECUTOR_H_
#define QUANTD_TESTS_TESTING_FAKE_EXECUTOR_H_

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "jobs/executor.h"

namespace quantd::test {

class FakeExecutor : public Executor {
 public:
  struct StopCall {
    std::string job;
    uint32_t attempt = 0;
    absl::Duration grace;
  };

  explicit FakeExecutor(int slots = 1) : slots_(slots) {}

  absl::string_view name() const override { return "fake"; }
  int slots() const override { return slots_; }

  void SetExitCallback(
      std::function<void(const WorkerExit&)> on_exit) override {
    absl::MutexLock lock(&mutex_);
    on_exit_ = std::move(on_exit);
  }

  absl::Status Start(const WorkerLaunch& launch) override {
    absl::MutexLock lock(&mutex_);
    if (start_failures_ > 0) {
      --start_failures_;
      return absl::UnavailableError("no process to be had");
    }
    launches_.push_back(launch);
    alive_.push_back({launch.job, launch.attempt});
    return absl::OkStatus();
  }

  void Stop(absl::string_view job, uint32_t attempt,
            absl::Duration grace) override {
    bool is_alive;
    {
      absl::MutexLock lock(&mutex_);
      stops_.push_back({std::string(job), attempt, grace});
      is_alive =
          std::any_of(alive_.begin(), alive_.end(), [&](const Alive& worker) {
            return worker.job == job && worker.attempt == attempt;
          });
    }
    // No worker survives being killed.
    if (is_alive && grace <= absl::ZeroDuration()) {
      EndWorker(std::string(job), attempt, "killed by signal 9");
    }
  }

  // Whatever is left is killed.
  void Shutdown() override {
    std::vector<Alive> alive;
    {
      absl::MutexLock lock(&mutex_);
      alive = alive_;
    }
    for (const Alive& worker : alive) {
      EndWorker(worker.job, worker.attempt, "killed by signal 9");
    }
  }

  // The next `count` starts fail with Unavailable.
  void FailStarts(int count) {
    absl::MutexLock lock(&mutex_);
    start_failures_ = count;
  }

  // Waits for the launch of that number, counted from 0. A launch without a
  // job means that it did not come in time.
  WorkerLaunch WaitForLaunch(size_t index) {
    absl::MutexLock lock(&mutex_);
    const auto is_there = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return launches_.size() > index;
    };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&is_there),
                                 absl::Seconds(10))) {
      return WorkerLaunch();
    }
    return launches_[index];
  }
  // Waits for the stop of that number likewise.
  StopCall WaitForStop(size_t index) {
    absl::MutexLock lock(&mutex_);
    const auto is_there = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return stops_.size() > index;
    };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&is_there),
                                 absl::Seconds(10))) {
      return StopCall();
    }
    return stops_[index];
  }
  size_t launch_count() const {
    absl::MutexLock lock(&mutex_);
    return launches_.size();
  }

  // The worker's process ends; the callback runs on this thread.
  void EndWorker(const std::string& job, uint32_t attempt,
                 const std::string& description, bool out_of_memory = false) {
    std::function<void(const WorkerExit&)> on_exit;
    {
      absl::MutexLock lock(&mutex_);
      alive_.erase(std::remove_if(alive_.begin(), alive_.end(),
                                  [&](const Alive& worker) {
                                    return worker.job == job &&
                                           worker.attempt == attempt;
                                  }),
                   alive_.end());
      on_exit = on_exit_;
    }
    WorkerExit exit;
    exit.job = job;
    exit.attempt = attempt;
    exit.description = description;
    exit.out_of_memory = out_of_memory;
    if (on_exit) on_exit(exit);
  }

 private:
  struct Alive {
    std::string job;
    uint32_t attempt;
  };

  const int slots_;
  mutable absl::Mutex mutex_;
  std::function<void(const WorkerExit&)> on_exit_ ABSL_GUARDED_BY(mutex_);
  std::vector<WorkerLaunch> launches_ ABSL_GUARDED_BY(mutex_);
  std::vector<StopCall> stops_ ABSL_GUARDED_BY(mutex_);
  std::vector<Alive> alive_ ABSL_GUARDED_BY(mutex_);
  int start_failures_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace quantd::test

#endif  // QUANTD_TESTS_TESTING_FAKE_EXECUTOR_H_
