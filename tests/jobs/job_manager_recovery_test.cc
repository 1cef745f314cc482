#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

#include "base/file.h"
#include "tests/jobs/job_manager_fixture.h"

namespace quantd::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Code = absl::StatusCode;

using JobRecoveryTest = JobManagerFixture;

TEST_F(JobRecoveryTest, AQueuedJobSurvivesACrash) {
  slots_ = 0;
  RestartServer();
  const std::string name = Submit(QuantizeRequest());
  slots_ = 1;
  CrashAndRestart();
  EXPECT_EQ(Launched(0).job(), name);
}

TEST_F(JobRecoveryTest, ARunningJobIsTriedAgainAfterACrash) {
  const std::string name = Submit(QuantizeRequest("out"));
  const v1::AttemptKey before = Launched(0);
  std::ofstream(Workspace(name) + "/block0") << "finished";
  CrashAndRestart();
  const v1::AttemptKey after = Launched(0);
  EXPECT_EQ(after.job(), name);
  EXPECT_EQ(after.attempt(), 2u);
  EXPECT_EQ(ReadFile(Workspace(name) + "/block0").value_or(""), "finished");
  // The worker of the dead server is fenced off.
  EXPECT_THAT(manager().Claim(before),
              StatusIs(Code::kAborted, HasSubstr("STALE_ATTEMPT")));
  EXPECT_THAT(manager().Report(SuccessReport(before)),
              StatusIs(Code::kAborted, HasSubstr("STALE_ATTEMPT")));
  ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Get(name));
  EXPECT_EQ(job.uncounted_attempts(), 1u);
  ASSERT_THAT(manager().Report(SuccessReport(after)), IsOk());
  EXPECT_EQ(StateOf(name), v1::SUCCEEDED);
}

TEST_F(JobRecoveryTest, CrashesDoNotUseUpTheAttempts) {
  v1::CreateJobRequest request = QuantizeRequest();
  request.mutable_spec()->set_max_attempts(1);
  const std::string name = Submit(request);
  for (uint32_t attempt = 1; attempt <= 4; ++attempt) {
    EXPECT_EQ(Launched(0).attempt(), attempt);
    CrashAndRestart();
  }
  EXPECT_EQ(Launched(0).attempt(), 5u);
  executor().EndWorker(name, 5, "killed by signal 11");
  EXPECT_EQ(StateOf(name), v1::FAILED);
}

TEST_F(JobRecoveryTest, EndedJobsStayEndedAndAreNotRunAgain) {
  const std::string done = Submit(QuantizeRequest("out"));
  ASSERT_THAT(manager().Report(SuccessReport(Launched(0))), IsOk());
  executor().EndWorker(done, 1, "exit code 0");
  const std::string gone = Submit(QuantizeRequest());
  ASSERT_THAT(manager().Cancel(gone), IsOk());
  ASSERT_OK_AND_ASSIGN(v1::Job before, manager().Get(done));
  CrashAndRestart();
  ASSERT_OK_AND_ASSIGN(v1::Job after, manager().Get(done));
  EXPECT_EQ(after.SerializeAsString(), before.SerializeAsString());
  EXPECT_EQ(StateOf(gone), v1::CANCELLED);
  EXPECT_EQ(manager().counts().queued + manager().counts().running, 0);
  EXPECT_THAT(manager().Submit(QuantizeRequest("out")),
              StatusIs(Code::kAlreadyExists, HasSubstr("out")));
}

TEST_F(JobRecoveryTest, ACancelThatWasAcknowledgedHoldsAfterACrash) {
  const std::string name = Submit(QuantizeRequest());
  Launched(0);
  ASSERT_THAT(manager().Cancel(name), IsOk());
  CrashAndRestart();
  EXPECT_EQ(StateOf(name), v1::CANCELLED);
  EXPECT_EQ(executor().launch_count(), 0u);
}

TEST_F(JobRecoveryTest, WaitingJobsAreSettledAfterACrash) {
  // The crash falls between the end of a job and that of its dependent.
  slots_ = 0;
  RestartServer();
  const std::string failed = Submit(QuantizeRequest());
  v1::CreateJobRequest request = QuantizeRequest();
  request.mutable_spec()->add_after(failed);
  const std::string dependent = Submit(request);
  const std::string producer = Submit(QuantizeRequest("out"));
  const std::string reader = Submit(EvaluateRequest("out"));
  StopServer();
  {
    MetadataStore::Options options;
    options.directory = options_.data_directory + "/metadata";
    ASSERT_OK_AND_ASSIGN(auto store, MetadataStore::Open(std::move(options)));
    MetadataBatch batch;
    for (const auto& [name, state] :
         {std::pair(failed, v1::FAILED), std::pair(producer, v1::SUCCEEDED)}) {
      v1::Job job;
      ASSERT_THAT(store->Get(Table::kJobs, name.substr(5), &job), IsOk());
      job.set_state(state);
      batch.Put(Table::kJobs, name.substr(5), job);
    }
    ASSERT_THAT(store->Commit(batch), IsOk());
  }
  slots_ = 1;
  StartServer();
  EXPECT_EQ(WaitFor(dependent, v1::FAILED).state_reason(), "DEPENDENCY_FAILED");
  EXPECT_EQ(Launched(0).job(), reader);
}

TEST_F(JobRecoveryTest, IdsKeepRisingThoughTheClockWentBack) {
  slots_ = 0;
  RestartServer();
  const std::string before = Submit(QuantizeRequest());
  clock_.SetWallClock(absl::FromUnixSeconds(1'000'000'000));
  RestartServer();
  EXPECT_GT(Submit(QuantizeRequest()), before);
}

TEST_F(JobRecoveryTest, EventSequencesKeepRising) {
  slots_ = 0;
  RestartServer();
  const std::string first = Submit(QuantizeRequest());
  const uint64_t before = manager().Get(first)->event_sequence();
  CrashAndRestart();
  const std::string second = Submit(QuantizeRequest());
  EXPECT_GT(manager().Get(second)->event_sequence(), before);
}

TEST_F(JobRecoveryTest, WorkspacesOfEndedJobsAreRemovedOnStart) {
  const std::string leftover =
      options_.data_directory + "/workspaces/01hf7yat000000000000000000";
  fs::create_directories(leftover);
  RestartServer();
  EXPECT_FALSE(fs::exists(leftover));
}

TEST_F(JobRecoveryTest, AnUnreadableRecordStopsTheStart) {
  slots_ = 0;
  RestartServer();
  const std::string name = Submit(QuantizeRequest());
  MetadataBatch batch;
  batch.PutBytes(Table::kJobs, name.substr(5), "\xFF\xFF rubbish");
  ASSERT_THAT(server_.store->Commit(batch), IsOk());
  server_.manager.reset();
  FakeExecutor executor;
  EXPECT_THAT(
      JobManager::Start(options_, server_.store.get(), server_.artifacts.get(),
                        &executor, &clock_, nullptr),
      StatusIs(Code::kDataLoss, HasSubstr(name)));
}

TEST_F(JobRecoveryTest, DrainingStopsWorkersAndKeepsTheirAttempts) {
  v1::CreateJobRequest request = QuantizeRequest();
  request.mutable_spec()->set_max_attempts(1);
  const std::string name = Submit(request);
  const v1::AttemptKey key = Launched(0);
  std::thread worker([&] {
    const FakeExecutor::StopCall stop = executor().WaitForStop(0);
    EXPECT_EQ(stop.grace, absl::Seconds(5));
    v1::HeartbeatRequest beat;
    *beat.mutable_key() = key;
    EXPECT_TRUE(manager().Heartbeat(beat)->cancel());
    EXPECT_THAT(
        manager().Report(ErrorReport(key, Code::kCancelled, "told to stop")),
        IsOk());
    executor().EndWorker(name, 1, "exit code 0");
  });
  manager().Drain(absl::Seconds(5));
  worker.join();
  ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Get(name));
  EXPECT_EQ(job.state(), v1::QUEUED);
  EXPECT_EQ(job.state_reason(), "SERVER_DRAINED");
  RestartServer();
  const v1::AttemptKey next = Launched(0);
  EXPECT_EQ(next.attempt(), 2u);
  ASSERT_THAT(manager().Report(SuccessReport(next)), IsOk());
  EXPECT_EQ(StateOf(name), v1::SUCCEEDED);
}

TEST_F(JobRecoveryTest, DrainingRequeuesWorkersThatHadToBeKilled) {
  const std::string name = Submit(QuantizeRequest());
  Launched(0);
  manager().Drain(absl::ZeroDuration());
  EXPECT_EQ(manager().Get(name)->state_reason(), "SERVER_DRAINED");
  RestartServer();
  EXPECT_EQ(Launched(0).attempt(), 2u);
}

TEST_F(JobRecoveryTest, AWorkerThatFinishesWhileDrainingSucceeds) {
  const std::string name = Submit(QuantizeRequest("out"));
  const v1::AttemptKey key = Launched(0);
  std::thread worker([&] {
    executor().WaitForStop(0);
    EXPECT_THAT(manager().Report(SuccessReport(key)), IsOk());
    executor().EndWorker(name, 1, "exit code 0");
  });
  manager().Drain(absl::Seconds(5));
  worker.join();
  EXPECT_EQ(StateOf(name), v1::SUCCEEDED);
}

}  // namespace
}  // namespace quantd::test
