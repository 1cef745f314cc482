#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "absl/time/clock.h"
#include "base/file.h"
#include "tests/jobs/job_manager_fixture.h"

namespace quantd::test {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Code = absl::StatusCode;

using JobAttemptsTest = JobManagerFixture;

v1::HeartbeatRequest Beat(const v1::AttemptKey& key) {
  v1::HeartbeatRequest request;
  *request.mutable_key() = key;
  return request;
}

TEST_F(JobAttemptsTest, AJobGoesFromSubmissionToArtifact) {
  v1::CreateJobRequest request = QuantizeRequest("out");
  (*request.mutable_spec()->mutable_labels())["team"] = "blue";
  const std::string name = Submit(request);
  const v1::AttemptKey key = Launched(0);
  EXPECT_EQ(key.job(), name);
  EXPECT_EQ(key.attempt(), 1u);
  EXPECT_EQ(StateOf(name), v1::RUNNING);

  ASSERT_OK_AND_ASSIGN(v1::Assignment assignment, manager().Claim(key));
  EXPECT_EQ(assignment.job().name(), name);
  EXPECT_EQ(assignment.lease_seconds(), 1);
  EXPECT_EQ(assignment.input_directory(), "/nowhere/tiny");
  EXPECT_EQ(assignment.input_name(), "models/tiny");
  EXPECT_TRUE(assignment.recipe().stages(0).has_rtn());
  EXPECT_EQ(assignment.workspace(), Workspace(name));
  EXPECT_TRUE(fs::is_directory(assignment.workspace()));

  ASSERT_THAT(manager().Report(SuccessReport(key)), IsOk());
  ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Get(name));
  EXPECT_EQ(job.state(), v1::SUCCEEDED);
  EXPECT_EQ(job.state_reason(), "COMPLETED");
  EXPECT_EQ(job.result().artifact(), "artifacts/out");
  EXPECT_EQ(job.result().metrics().at("bits_per_weight"), 4.5);

  v1::Artifact artifact;
  ASSERT_THAT(server_.store->Get(Table::kArtifacts, "out", &artifact), IsOk());
  EXPECT_EQ(artifact.name(), "artifacts/out");
  EXPECT_EQ(artifact.job(), name);
  EXPECT_EQ(artifact.source(), "models/tiny");
  EXPECT_EQ(artifact.recipe(), "rtn");
  EXPECT_EQ(artifact.size_bytes(), 5u);
  EXPECT_EQ(artifact.kind(), v1::Artifact::COMPRESSED_CHECKPOINT);
  EXPECT_EQ(artifact.labels().at("team"), "blue");
  EXPECT_EQ(artifact.digest(),
            Sha256Hex(Sha256Hex("codes") + "  5  model.bin\n"));
  EXPECT_THAT(server_.artifacts->Verify(Sha256Hex("codes")), IsOk());

  // The workspace goes with the worker.
  EXPECT_TRUE(fs::exists(Workspace(name)));
  executor().EndWorker(name, 1, "exit code 0");
  EXPECT_FALSE(fs::exists(Workspace(name)));
}

TEST_F(JobAttemptsTest, AnEvaluationReadsTheOutputOfItsJob) {
  const std::string producer = Submit(QuantizeRequest("out"));
  const std::string reader = Submit(EvaluateRequest("out"));
  const v1::AttemptKey first = Launched(0);
  ASSERT_EQ(first.job(), producer);
  EXPECT_EQ(manager().Get(reader)->state_reason(), "WAITING_FOR_DEPENDENCY");
  ASSERT_THAT(manager().Report(SuccessReport(first)), IsOk());
  executor().EndWorker(producer, 1, "exit code 0");

  const v1::AttemptKey second = Launched(1);
  ASSERT_EQ(second.job(), reader);
  ASSERT_OK_AND_ASSIGN(v1::Assignment assignment, manager().Claim(second));
  EXPECT_EQ(assignment.input_name(), "artifacts/out");
  EXPECT_EQ(ReadFile(assignment.input_directory() + "/model.bin").value_or(""),
            "codes");
  EXPECT_EQ(ReadFile(assignment.dataset_path()).value_or(""),
            "some words to learn from");

  v1::ReportAttemptRequest report;
  *report.mutable_key() = second;
  v1::Evaluation& evaluation = *report.mutable_success()->mutable_evaluation();
  evaluation.set_target(assignment.input_name());
  evaluation.add_perplexities()->set_perplexity(7);
  report.mutable_success()->mutable_result()->set_peak_memory_bytes(99);
  ASSERT_THAT(manager().Report(report), IsOk());
  ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Get(reader));
  EXPECT_EQ(job.state(), v1::SUCCEEDED);
  v1::Evaluation stored;
  ASSERT_THAT(
      server_.store->Get(Table::kEvaluations, reader.substr(5), &stored),
      IsOk());
  EXPECT_EQ(job.result().evaluation(), stored.name());
  EXPECT_EQ(stored.job(), reader);
  EXPECT_EQ(stored.perplexities(0).perplexity(), 7);
  EXPECT_EQ(stored.peak_memory_bytes(), 99u);
}

TEST_F(JobAttemptsTest, ClaimingTwiceGivesTheSameAssignment) {
  Submit(QuantizeRequest());
  const v1::AttemptKey key = Launched(0);
  ASSERT_OK_AND_ASSIGN(v1::Assignment first, manager().Claim(key));
  ASSERT_OK_AND_ASSIGN(v1::Assignment second, manager().Claim(key));
  EXPECT_EQ(first.SerializeAsString(), second.SerializeAsString());
}

TEST_F(JobAttemptsTest, CallsWithAnotherTokenOrAttemptAreRefused) {
  const std::string name = Submit(QuantizeRequest());
  const v1::AttemptKey key = Launched(0);
  v1::AttemptKey wrong_token = key, wrong_attempt = key, wrong_job = key;
  wrong_token.mutable_token()->back() ^= 1;
  wrong_attempt.set_attempt(2);
  wrong_job.set_job("jobs/01hf7yat000000000000000000");
  v1::AttemptKey no_token = key;
  no_token.clear_token();
  for (const v1::AttemptKey& bad :
       {wrong_token, wrong_attempt, wrong_job, no_token}) {
    const auto refused = StatusIs(Code::kAborted, HasSubstr("STALE_ATTEMPT"));
    EXPECT_THAT(manager().Claim(bad), refused);
    EXPECT_THAT(manager().Heartbeat(Beat(bad)), refused);
    v1::ReportAttemptRequest report = SuccessReport(key);
    *report.mutable_key() = bad;
    EXPECT_THAT(manager().Report(report), refused);
  }
  EXPECT_EQ(StateOf(name), v1::RUNNING);
}

TEST_F(JobAttemptsTest, HeartbeatsKeepTheLease) {
  const std::string name = Submit(QuantizeRequest());
  const v1::AttemptKey key = Launched(0);
  for (int i = 0; i < 10; ++i) {
    clock_.Advance(absl::Milliseconds(900));
    ASSERT_THAT(manager().Heartbeat(Beat(key)), IsOk());
  }
  EXPECT_EQ(StateOf(name), v1::RUNNING);
  EXPECT_EQ(executor().launch_count(), 1u);
}

TEST_F(JobAttemptsTest, AnExpiredLeaseLosesTheAttemptAndFencesItsWorker) {
  const std::string name = Submit(QuantizeRequest());
  const v1::AttemptKey first = Launched(0);
  ASSERT_THAT(manager().Claim(first), IsOk());
  const v1::ReportAttemptRequest late = SuccessReport(first);
  clock_.Advance(absl::Milliseconds(1100));
  const FakeExecutor::StopCall stop = executor().WaitForStop(0);
  EXPECT_EQ(stop.job, name);
  EXPECT_EQ(stop.attempt, 1u);
  EXPECT_LE(stop.grace, absl::Seconds(5));
  EXPECT_THAT(manager().Heartbeat(Beat(first)),
              StatusIs(Code::kAborted, HasSubstr("STALE_ATTEMPT")));
  ASSERT_OK_AND_ASSIGN(v1::Job lost, manager().Get(name));
  EXPECT_EQ(lost.state(), v1::QUEUED);
  EXPECT_EQ(lost.state_reason(), "WORKER_LOST");
  EXPECT_THAT(lost.warnings(), ElementsAre(HasSubstr("no heartbeat")));

  // The next attempt waits until the old worker has gone.
  EXPECT_EQ(executor().launch_count(), 1u);
  executor().EndWorker(name, 1, "killed by signal 9");
  const v1::AttemptKey second = Launched(1);
  EXPECT_EQ(second.attempt(), 2u);
  EXPECT_NE(second.token(), first.token());
  EXPECT_THAT(manager().Report(late),
              StatusIs(Code::kAborted, HasSubstr("STALE_ATTEMPT")));
  EXPECT_EQ(StateOf(name), v1::RUNNING);
  ASSERT_THAT(manager().Report(SuccessReport(second)), IsOk());
  EXPECT_EQ(StateOf(name), v1::SUCCEEDED);
  EXPECT_THAT(manager().Report(late),
              StatusIs(Code::kAborted, HasSubstr("STALE_ATTEMPT")));
}

class JobAttemptsOnTwoSlotsTest : public JobManagerFixture {
 protected:
  JobAttemptsOnTwoSlotsTest() { slots_ = 2; }
};

TEST_F(JobAttemptsOnTwoSlotsTest, AWorkerThatDoesNotGoDelaysItsJobForALease) {
  const std::string name = Submit(QuantizeRequest());
  Launched(0);
  clock_.Advance(absl::Milliseconds(1100));
  executor().WaitForStop(0);
  EXPECT_EQ(executor().launch_count(), 1u);
  clock_.Advance(absl::Milliseconds(1100));
  EXPECT_EQ(Launched(1).attempt(), 2u);
}

TEST_F(JobAttemptsOnTwoSlotsTest, NoMoreWorkersThanSlotsAreStarted) {
  for (int i = 0; i < 4; ++i) Submit(QuantizeRequest());
  const v1::AttemptKey first = Launched(0);
  Launched(1);
  EXPECT_EQ(manager().counts().running, 2);
  EXPECT_EQ(manager().counts().queued, 2);
  EXPECT_EQ(executor().launch_count(), 2u);
  // A slot is free when the process has ended, not when it has reported.
  ASSERT_THAT(manager().Report(SuccessReport(first)), IsOk());
  EXPECT_EQ(executor().launch_count(), 2u);
  executor().EndWorker(first.job(), 1, "exit code 0");
  Launched(2);
}

TEST_F(JobAttemptsTest, AWorkerThatLingersAfterItsReportIsStopped) {
  const std::string name = Submit(QuantizeRequest());
  ASSERT_THAT(manager().Report(SuccessReport(Launched(0))), IsOk());
  clock_.Advance(absl::Minutes(1));
  const FakeExecutor::StopCall stop = executor().WaitForStop(0);
  EXPECT_EQ(stop.job, name);
  EXPECT_EQ(StateOf(name), v1::SUCCEEDED);
}

TEST_F(JobAttemptsTest, AWorkerThatDiesIsFollowedByTheNextAttempt) {
  const std::string name = Submit(QuantizeRequest());
  Launched(0);
  executor().EndWorker(name, 1, "killed by signal 11");
  EXPECT_EQ(Launched(1).attempt(), 2u);
  executor().EndWorker(name, 2, "out of memory", /*out_of_memory=*/true);
  EXPECT_EQ(Launched(2).attempt(), 3u);
  executor().EndWorker(name, 3, "exit code 1");
  ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Get(name));
  EXPECT_EQ(job.state(), v1::FAILED);
  EXPECT_EQ(job.state_reason(), "ATTEMPTS_EXHAUSTED");
  EXPECT_THAT(job.error().message(), HasSubstr("exit code 1"));
  EXPECT_THAT(job.warnings(),
              ElementsAre(HasSubstr("signal 11"), HasSubstr("out of memory"),
                          HasSubstr("exit code 1")));
  EXPECT_FALSE(fs::exists(Workspace(name)));
  ASSERT_OK_AND_ASSIGN(auto events, manager().EventsAfter(name, 0, 100));
  EXPECT_EQ(std::count_if(events.begin(), events.end(),
                          [](const v1::JobEvent& event) {
                            return event.state().reason() == "OUT_OF_MEMORY";
                          }),
            1);
}

TEST_F(JobAttemptsTest, TheWorkspaceSurvivesALostAttempt) {
  const std::string name = Submit(QuantizeRequest());
  Launched(0);
  std::ofstream(Workspace(name) + "/block0") << "finished";
  executor().EndWorker(name, 1, "killed by signal 9");
  Launched(1);
  EXPECT_EQ(ReadFile(Workspace(name) + "/block0").value_or(""), "finished");
}

TEST_F(JobAttemptsTest, AnErrorFailsTheJobAtOnce) {
  const std::string name = Submit(QuantizeRequest());
  const v1::AttemptKey key = Launched(0);
  ASSERT_THAT(manager().Report(ErrorReport(key, Code::kInvalidArgument,
                                           "layer x: NaN in weights")),
              IsOk());
  ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Get(name));
  EXPECT_EQ(job.state(), v1::FAILED);
  EXPECT_EQ(job.error().code(), static_cast<int>(Code::kInvalidArgument));
  EXPECT_EQ(job.error().message(), "layer x: NaN in weights");
  EXPECT_EQ(job.attempt(), 1u);
}

TEST_F(JobAttemptsTest, AnErrorThatMayPassIsTriedAgain) {
  const std::string name = Submit(QuantizeRequest());
  const v1::AttemptKey key = Launched(0);
  ASSERT_THAT(manager().Report(ErrorReport(key, Code::kUnavailable, "later")),
              IsOk());
  executor().EndWorker(name, 1, "exit code 0");
  EXPECT_EQ(Launched(1).attempt(), 2u);
}

TEST_F(JobAttemptsTest, AStopThatNobodyAskedForIsALostAttempt) {
  const std::string name = Submit(QuantizeRequest());
  const v1::AttemptKey key = Launched(0);
  ASSERT_THAT(manager().Report(ErrorReport(key, Code::kCancelled, "SIGTERM")),
              IsOk());
  executor().EndWorker(name, 1, "exit code 0");
  EXPECT_EQ(Launched(1).attempt(), 2u);
}

TEST_F(JobAttemptsTest, ACorruptInputFailsTheJobAtItsClaim) {
  ASSERT_OK_AND_ASSIGN(
      std::string blob,
      server_.artifacts->PathOf(Sha256Hex("some words to learn from")));
  fs::permissions(blob, fs::perms::owner_write, fs::perm_options::add);
  std::ofstream(blob) << "rotten";
  const std::string name = Submit(EvaluateRequest("tiny"));
  EXPECT_THAT(manager().Claim(Launched(0)),
              StatusIs(Code::kDataLoss, HasSubstr("datasets/text")));
  ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Get(name));
  EXPECT_EQ(job.state(), v1::FAILED);
  EXPECT_EQ(job.error().code(), static_cast<int>(Code::kDataLoss));
}

TEST_F(JobAttemptsTest, ProgressIsShownWithAnEstimate) {
  const std::string name = Submit(QuantizeRequest());
  const v1::AttemptKey key = Launched(0);
  v1::HeartbeatRequest beat = Beat(key);
  // A resumed attempt starts at 40 %.
  beat.mutable_progress()->set_phase("quantize");
  beat.mutable_progress()->set_fraction(0.4);
  ASSERT_THAT(manager().Heartbeat(beat), IsOk());
  EXPECT_EQ(manager().Get(name)->progress().eta_seconds(), 0);
  EXPECT_TRUE(manager().training().empty());
  clock_.Advance(absl::Milliseconds(500));
  beat.mutable_progress()->set_fraction(0.5);
  beat.mutable_progress()->mutable_training()->set_step(3);
  ASSERT_THAT(manager().Heartbeat(beat), IsOk());
  ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Get(name));
  EXPECT_EQ(job.progress().phase(), "quantize");
  EXPECT_DOUBLE_EQ(job.progress().fraction(), 0.5);
  // A tenth in half a second, five tenths to go.
  EXPECT_NEAR(job.progress().eta_seconds(), 2.5, 1e-9);
  const auto training = manager().training();
  ASSERT_EQ(training.size(), 1u);
  EXPECT_EQ(training[0].second.training().step(), 3u);
  EXPECT_NEAR(training[0].second.eta_seconds(), 2.5, 1e-9);
  v1::ListJobsRequest running;
  running.add_states(v1::RUNNING);
  EXPECT_DOUBLE_EQ(manager().List(running)->jobs(0).progress().fraction(), 0.5);

  beat.mutable_progress()->set_fraction(
      std::numeric_limits<double>::quiet_NaN());
  ASSERT_THAT(manager().Heartbeat(beat), IsOk());
  EXPECT_EQ(manager().Get(name)->progress().fraction(), 0);
  executor().EndWorker(name, 1, "killed by signal 9");
  Launched(1);
  EXPECT_FALSE(manager().Get(name)->has_progress());
}

TEST_F(JobAttemptsTest, NotesAndWarningsBecomeEvents) {
  const std::string name = Submit(QuantizeRequest());
  v1::HeartbeatRequest beat = Beat(Launched(0));
  beat.add_notes("block 1 of 2 written");
  beat.add_warnings("dead channel");
  ASSERT_THAT(manager().Heartbeat(beat), IsOk());
  ASSERT_OK_AND_ASSIGN(auto events, manager().EventsAfter(name, 0, 100));
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[2].note(), "block 1 of 2 written");
  EXPECT_EQ(events[3].warning(), "dead channel");
  EXPECT_EQ(events[3].attempt(), 1u);
  EXPECT_THAT(manager().Get(name)->warnings(), ElementsAre("dead channel"));
}

TEST_F(JobAttemptsTest, AWorkerThatCannotBeStartedIsTriedAgainUncounted) {
  executor().FailStarts(2);
  const std::string name = Submit(QuantizeRequest());
  const v1::AttemptKey key = Launched(0);
  EXPECT_EQ(key.attempt(), 3u);
  EXPECT_EQ(manager().Get(name)->uncounted_attempts(), 2u);
}

TEST_F(JobAttemptsTest, TooLittleDiskKeepsJobsQueued) {
  options_.min_free_disk_bytes = UINT64_C(1) << 62;
  RestartServer();
  const std::string name = Submit(QuantizeRequest());
  // Queued jobs send no events while they wait.
  v1::Job job;
  for (int i = 0; i < 500 && job.state_reason() != "WAITING_FOR_DISK"; ++i) {
    absl::SleepFor(absl::Milliseconds(10));
    ASSERT_OK_AND_ASSIGN(job, manager().Get(name));
  }
  EXPECT_EQ(job.state_reason(), "WAITING_FOR_DISK");
  EXPECT_EQ(job.state(), v1::QUEUED);
  EXPECT_EQ(executor().launch_count(), 0u);
}

TEST_F(JobAttemptsTest, HigherPriorityStartsFirst) {
  const std::string running = Submit(QuantizeRequest());
  Launched(0);
  Submit(QuantizeRequest());
  v1::CreateJobRequest urgent = QuantizeRequest();
  urgent.mutable_spec()->set_priority(10);
  const std::string second = Submit(urgent);
  ASSERT_THAT(manager().Cancel(running), IsOk());
  executor().EndWorker(running, 1, "exit code 0");
  EXPECT_EQ(Launched(1).job(), second);
}

TEST_F(JobAttemptsTest, LogsAreReadWhileTheyGrowAndComplete) {
  const std::string name = Submit(QuantizeRequest());
  const WorkerLaunch launch = executor().WaitForLaunch(0);
  std::ofstream(launch.log_path) << "starting\n";
  v1::ReadJobLogRequest request;
  request.set_name(name);
  ASSERT_OK_AND_ASSIGN(v1::ReadJobLogResponse log, manager().ReadLog(request));
  EXPECT_EQ(log.data(), "starting\n");
  EXPECT_EQ(log.next_offset(), 9u);
  EXPECT_EQ(log.attempt(), 1u);
  EXPECT_FALSE(log.complete());
  ASSERT_THAT(manager().Report(SuccessReport(Launched(0))), IsOk());
  // It may still write until it has exited.
  EXPECT_FALSE(manager().ReadLog(request)->complete());
  executor().EndWorker(name, 1, "exit code 0");
  EXPECT_TRUE(manager().ReadLog(request)->complete());
  request.set_attempt(2);
  EXPECT_THAT(manager().ReadLog(request),
              StatusIs(Code::kNotFound, HasSubstr("1 attempts, not 2")));
}

}  // namespace
}  // namespace quantd::test
