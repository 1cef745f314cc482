#include <string>

#include "tests/jobs/job_manager_fixture.h"

namespace quantd::test {
namespace {

using ::testing::HasSubstr;
using Code = absl::StatusCode;

using JobCancellationTest = JobManagerFixture;

v1::HeartbeatRequest Beat(const v1::AttemptKey& key) {
  v1::HeartbeatRequest request;
  *request.mutable_key() = key;
  return request;
}

TEST_F(JobCancellationTest, CancelBeforeStartEndsTheJob) {
  const std::string first = Submit(QuantizeRequest());
  Launched(0);
  const std::string waiting = Submit(QuantizeRequest());
  ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Cancel(waiting));
  EXPECT_EQ(job.state(), v1::CANCELLED);
  EXPECT_EQ(job.state_reason(), "CANCELLED_BY_CLIENT");
  executor().EndWorker(first, 1, "killed by signal 9");
  EXPECT_EQ(Launched(1).job(), first);
}

TEST_F(JobCancellationTest, CancelWhileRunningTellsTheWorkerAndItsProcess) {
  options_.cancel_grace = absl::Seconds(7);
  RestartServer();
  const std::string name = Submit(QuantizeRequest());
  const v1::AttemptKey key = Launched(0);
  EXPECT_FALSE(manager().Heartbeat(Beat(key))->cancel());
  ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Cancel(name));
  EXPECT_EQ(job.state(), v1::RUNNING);
  EXPECT_TRUE(job.cancel_requested());
  const FakeExecutor::StopCall stop = executor().WaitForStop(0);
  EXPECT_EQ(stop.job, name);
  EXPECT_EQ(stop.grace, absl::Seconds(7));
  EXPECT_TRUE(manager().Heartbeat(Beat(key))->cancel());
  ASSERT_THAT(manager().Cancel(name), IsOk());
  ASSERT_THAT(manager().Report(ErrorReport(key, Code::kCancelled, "asked to")),
              IsOk());
  EXPECT_EQ(StateOf(name), v1::CANCELLED);
  // Cancelling what has ended changes nothing.
  ASSERT_OK_AND_ASSIGN(v1::Job again, manager().Cancel(name));
  EXPECT_EQ(again.state(), v1::CANCELLED);
}

TEST_F(JobCancellationTest, AnAcknowledgedCancelIsNeverFollowedBySuccess) {
  const std::string name = Submit(QuantizeRequest("out"));
  const v1::AttemptKey key = Launched(0);
  ASSERT_THAT(manager().Cancel(name), IsOk());
  ASSERT_THAT(manager().Report(SuccessReport(key)), IsOk());
  EXPECT_EQ(StateOf(name), v1::CANCELLED);
  EXPECT_FALSE(server_.store->GetBytes(Table::kArtifacts, "out").ok());
}

TEST_F(JobCancellationTest, ACancelledJobWhoseWorkerDiesOrHangsIsCancelled) {
  const std::string dies = Submit(QuantizeRequest());
  Launched(0);
  ASSERT_THAT(manager().Cancel(dies), IsOk());
  executor().EndWorker(dies, 1, "killed by signal 9");
  EXPECT_EQ(StateOf(dies), v1::CANCELLED);

  const std::string hangs = Submit(QuantizeRequest());
  Launched(1);
  ASSERT_THAT(manager().Cancel(hangs), IsOk());
  clock_.Advance(absl::Milliseconds(1100));
  WaitFor(hangs, v1::CANCELLED);
}

TEST_F(JobCancellationTest, AClaimOfACancelledJobEndsIt) {
  const std::string name = Submit(QuantizeRequest());
  const v1::AttemptKey key = Launched(0);
  ASSERT_THAT(manager().Cancel(name), IsOk());
  EXPECT_THAT(manager().Claim(key), StatusIs(Code::kCancelled, HasSubstr("")));
  EXPECT_EQ(StateOf(name), v1::CANCELLED);
}

TEST_F(JobCancellationTest, CancelAfterTheEndReturnsTheJobUnchanged) {
  const std::string name = Submit(QuantizeRequest());
  ASSERT_THAT(manager().Report(SuccessReport(Launched(0))), IsOk());
  ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Cancel(name));
  EXPECT_EQ(job.state(), v1::SUCCEEDED);
  EXPECT_FALSE(job.cancel_requested());
}

}  // namespace
}  // namespace quantd::test
