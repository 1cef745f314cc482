#include "jobs/local_executor.h"

#include <signal.h>

#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd {
namespace {

using test::IsOk;
using test::StatusIs;
using test::TempDir;
using ::testing::HasSubstr;

class LocalExecutorTest : public ::testing::Test {
 protected:
  // Workers are shells that run `script`.
  void Run(const std::string& script, int slots = 1) {
    LocalExecutorOptions options;
    options.worker_binary = "/bin/sh";
    options.worker_args_prefix = {"-c", script, "worker"};
    options.server_address = "127.0.0.1:4242";
    options.slots = slots;
    options.max_log_bytes = max_log_bytes_;
    executor_ = NewLocalExecutor(options);
    executor_->SetExitCallback([this](const WorkerExit& exit) {
      absl::MutexLock lock(&mutex_);
      exits_.push_back(exit);
    });
  }

  WorkerLaunch Launch(uint32_t attempt = 1) {
    WorkerLaunch launch;
    launch.job = "jobs/one";
    launch.attempt = attempt;
    launch.token = "secret";
    launch.log_path = LogPath();
    return launch;
  }

  std::string LogPath() const { return dir_.File("log"); }
  std::string Log() const { return ReadFile(LogPath()).value_or(""); }

  WorkerExit WaitForExit(size_t index = 0) {
    absl::MutexLock lock(&mutex_);
    const auto is_there = [&] { return exits_.size() > index; };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&is_there),
                                 absl::Seconds(10))) {
      ADD_FAILURE() << "no exit was reported";
      return WorkerExit();
    }
    return exits_[index];
  }

  // Until the worker has written `text`; files give no notification.
  void WaitForLog(const std::string& text) {
    for (int i = 0; i < 1000; ++i) {
      if (Log().find(text) != std::string::npos) return;
      absl::SleepFor(absl::Milliseconds(10));
    }
    ADD_FAILURE() << "the log has no \"" << text << "\": " << Log();
  }

  TempDir dir_;
  uint64_t max_log_bytes_ = uint64_t{1} << 20;
  absl::Mutex mutex_;
  std::vector<WorkerExit> exits_;
  std::unique_ptr<Executor> executor_;
};

TEST_F(LocalExecutorTest, ReportsTheExitCode) {
  Run("exit 7");
  ASSERT_THAT(executor_->Start(Launch(3)), IsOk());
  const WorkerExit exit = WaitForExit();
  EXPECT_EQ(exit.job, "jobs/one");
  EXPECT_EQ(exit.attempt, 3u);
  EXPECT_EQ(exit.description, "exit code 7");
  EXPECT_FALSE(exit.out_of_memory);
}

TEST_F(LocalExecutorTest, ReportsTheSignal) {
  Run("kill -SEGV $$");
  ASSERT_THAT(executor_->Start(Launch()), IsOk());
  EXPECT_EQ(WaitForExit().description, "killed by signal 11 (SIGSEGV)");
}

TEST_F(LocalExecutorTest, AKillThatNobodyHereSentIsNotCalledOurs) {
  Run("kill -KILL $$");
  ASSERT_THAT(executor_->Start(Launch()), IsOk());
  EXPECT_EQ(WaitForExit().description, "killed by signal 9 (SIGKILL)");
}

TEST_F(LocalExecutorTest, PassesTheAddressJobAttemptAndToken) {
  Run("echo \"$@\"; echo token=$QUANTD_ATTEMPT_TOKEN >&2");
  ASSERT_THAT(executor_->Start(Launch(2)), IsOk());
  EXPECT_EQ(WaitForExit().description, "exit code 0");
  EXPECT_EQ(Log(),
            "--server 127.0.0.1:4242 --job jobs/one --attempt 2\n"
            "token=secret\n");
}

TEST_F(LocalExecutorTest, AppendsToTheLogAndClosesTheInput) {
  std::ofstream(LogPath()) << "before\n";
  Run("cat; echo after");
  ASSERT_THAT(executor_->Start(Launch()), IsOk());
  WaitForExit();
  EXPECT_EQ(Log(), "before\nafter\n");
}

TEST_F(LocalExecutorTest, AWorkerThatWritesWithoutEndIsCutOffAndGoesOn) {
  max_log_bytes_ = 1000;
  // Many times what a pipe holds.
  Run("head -c 1000000 /dev/zero | tr '\\0' x; exit 7");
  ASSERT_THAT(executor_->Start(Launch()), IsOk());
  EXPECT_EQ(WaitForExit().description, "exit code 7");
  EXPECT_EQ(Log(), std::string(1000, 'x') +
                       "\n[quantd] the log ends here: it has reached its limit "
                       "of 1000 bytes\n");
}

TEST_F(LocalExecutorTest, AWorkerMayCloseItsOutput) {
  Run("echo before; exec >&- 2>&-; sleep 0.2; exit 7");
  ASSERT_THAT(executor_->Start(Launch()), IsOk());
  EXPECT_EQ(WaitForExit().description, "exit code 7");
  EXPECT_EQ(Log(), "before\n");
}

TEST_F(LocalExecutorTest, WorkersDumpNoCore) {
  Run("ulimit -c");
  ASSERT_THAT(executor_->Start(Launch()), IsOk());
  WaitForExit();
  EXPECT_EQ(Log(), "0\n");
}

TEST_F(LocalExecutorTest, StopAsksFirst) {
  Run("trap 'echo asked; exit 5' TERM; echo ready; while :; do sleep 0.05; "
      "done");
  ASSERT_THAT(executor_->Start(Launch()), IsOk());
  WaitForLog("ready");
  executor_->Stop("jobs/one", 1, absl::Seconds(10));
  EXPECT_EQ(WaitForExit().description, "exit code 5");
  EXPECT_THAT(Log(), HasSubstr("asked"));
}

TEST_F(LocalExecutorTest, StopKillsAfterTheGrace) {
  Run("trap '' TERM; echo ready; while :; do sleep 0.05; done");
  ASSERT_THAT(executor_->Start(Launch()), IsOk());
  WaitForLog("ready");
  const absl::Time start = absl::Now();
  executor_->Stop("jobs/one", 1, absl::Milliseconds(300));
  EXPECT_EQ(WaitForExit().description,
            "killed by signal 9 (SIGKILL) of the server");
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(300));
}

TEST_F(LocalExecutorTest, StopReachesAStoppedProcess) {
  Run("echo ready; kill -STOP $$; sleep 100");
  ASSERT_THAT(executor_->Start(Launch()), IsOk());
  WaitForLog("ready");
  executor_->Stop("jobs/one", 1, absl::Milliseconds(50));
  EXPECT_THAT(WaitForExit().description, HasSubstr("signal"));
}

TEST_F(LocalExecutorTest, StopOfAnotherAttemptDoesNothing) {
  Run("trap 'exit 5' TERM; echo ready; sleep 0.3; exit 0");
  ASSERT_THAT(executor_->Start(Launch(2)), IsOk());
  WaitForLog("ready");
  executor_->Stop("jobs/one", 1, absl::ZeroDuration());
  executor_->Stop("jobs/two", 2, absl::ZeroDuration());
  EXPECT_EQ(WaitForExit().description, "exit code 0");
}

TEST_F(LocalExecutorTest, DescendantsDieWithTheWorker) {
  Run("sleep 1000 & echo $!; exit 0");
  ASSERT_THAT(executor_->Start(Launch()), IsOk());
  WaitForExit();
  int pid = 0;
  ASSERT_TRUE(absl::SimpleAtoi(absl::StripSuffix(Log(), "\n"), &pid));
  // Killed; until init or a subreaper has collected it, it is a zombie.
  bool gone = false;
  for (int i = 0; i < 500 && !gone; ++i) {
    std::ifstream stat(absl::StrCat("/proc/", pid, "/stat"));
    std::string id, name, state;
    gone = !(stat >> id >> name >> state) || state == "Z" || state == "X";
    if (!gone) absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_TRUE(gone);
}

TEST_F(LocalExecutorTest, AMissingProgramIsUnavailableAndNamed) {
  LocalExecutorOptions options;
  options.worker_binary = "/no/such/worker";
  executor_ = NewLocalExecutor(options);
  EXPECT_THAT(executor_->Start(Launch()),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("/no/such/worker: No such file")));
}

TEST_F(LocalExecutorTest, ALogThatCannotBeWrittenIsUnavailable) {
  Run("exit 0");
  WorkerLaunch launch = Launch();
  launch.log_path = "/no/such/directory/log";
  EXPECT_THAT(executor_->Start(launch), StatusIs(absl::StatusCode::kUnavailable,
                                                 HasSubstr(launch.log_path)));
}

TEST_F(LocalExecutorTest, RefusesMoreWorkersThanSlots) {
  Run("sleep 100", /*slots=*/2);
  ASSERT_THAT(executor_->Start(Launch(1)), IsOk());
  ASSERT_THAT(executor_->Start(Launch(2)), IsOk());
  EXPECT_THAT(
      executor_->Start(Launch(3)),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("2 slots")));
}

TEST_F(LocalExecutorTest, ShutdownKillsWhatIsLeftAndReportsIt) {
  Run("trap '' TERM; echo ready; while :; do sleep 0.05; done", /*slots=*/2);
  ASSERT_THAT(executor_->Start(Launch(1)), IsOk());
  ASSERT_THAT(executor_->Start(Launch(2)), IsOk());
  executor_->Shutdown();
  absl::MutexLock lock(&mutex_);
  EXPECT_EQ(exits_.size(), 2u);
}

TEST_F(LocalExecutorTest, AfterShutdownNothingStarts) {
  Run("exit 0");
  executor_->Shutdown();
  executor_->Shutdown();
  EXPECT_THAT(executor_->Start(Launch()),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("shut down")));
}

TEST_F(LocalExecutorTest, ServesManyCallersAtOnce) {
  Run("exit 0", /*slots=*/64);
  std::vector<std::thread> callers;
  for (uint32_t attempt = 1; attempt <= 32; ++attempt) {
    callers.emplace_back([&, attempt] {
      EXPECT_THAT(executor_->Start(Launch(attempt)), IsOk());
    });
  }
  for (std::thread& caller : callers) caller.join();
  WaitForExit(31);
}

}  // namespace
}  // namespace quantd
