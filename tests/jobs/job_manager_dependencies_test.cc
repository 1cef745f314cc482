#include <string>
#include <vector>

#include "tests/jobs/job_manager_fixture.h"

namespace quantd::test {
namespace {

using ::testing::HasSubstr;
using Code = absl::StatusCode;

using JobDependenciesTest = JobManagerFixture;

TEST_F(JobDependenciesTest, DependentsStartAfterTheirDependencies) {
  const std::string a = Submit(QuantizeRequest());
  const std::string b = Submit(QuantizeRequest());
  v1::CreateJobRequest request = QuantizeRequest();
  request.mutable_spec()->add_after(a);
  request.mutable_spec()->add_after(b);
  request.mutable_spec()->set_priority(1000);
  const std::string c = Submit(request);
  for (size_t i = 0; i < 2; ++i) {
    const v1::AttemptKey key = Launched(i);
    EXPECT_EQ(key.job(), i == 0 ? a : b);
    EXPECT_EQ(StateOf(c), v1::QUEUED);
    ASSERT_THAT(manager().Report(SuccessReport(key)), IsOk());
    executor().EndWorker(key.job(), 1, "exit code 0");
  }
  EXPECT_EQ(Launched(2).job(), c);
}

TEST_F(JobDependenciesTest, AFailureFailsTheWholeChainBehindIt) {
  const std::string a = Submit(QuantizeRequest());
  std::vector<std::string> chain = {a};
  for (int i = 0; i < 5; ++i) {
    v1::CreateJobRequest request = QuantizeRequest();
    request.mutable_spec()->add_after(chain.back());
    chain.push_back(Submit(request));
  }
  ASSERT_THAT(
      manager().Report(ErrorReport(Launched(0), Code::kInternal, "broken")),
      IsOk());
  for (size_t i = 1; i < chain.size(); ++i) {
    const v1::Job job = WaitFor(chain[i], v1::FAILED);
    EXPECT_EQ(job.state_reason(), "DEPENDENCY_FAILED");
    EXPECT_THAT(job.error().message(),
                HasSubstr(chain[i - 1] + " ended as FAILED"));
    EXPECT_EQ(job.attempt(), 0u);
  }
}

TEST_F(JobDependenciesTest, ACancelledDependencyFailsItsDependents) {
  Submit(QuantizeRequest());
  Launched(0);
  const std::string a = Submit(QuantizeRequest());
  v1::CreateJobRequest request = QuantizeRequest();
  request.mutable_spec()->add_after(a);
  const std::string b = Submit(request);
  EXPECT_THAT(manager().Delete(a),
              StatusIs(Code::kFailedPrecondition, HasSubstr("has not ended")));
  ASSERT_THAT(manager().Cancel(a), IsOk());
  EXPECT_EQ(WaitFor(b, v1::FAILED).state_reason(), "DEPENDENCY_FAILED");
}

TEST_F(JobDependenciesTest, DependingOnAJobThatHasEndedWorksAsIfItHadNot) {
  const std::string good = Submit(QuantizeRequest("good"));
  ASSERT_THAT(manager().Report(SuccessReport(Launched(0))), IsOk());
  executor().EndWorker(good, 1, "exit code 0");
  v1::CreateJobRequest request = QuantizeRequest();
  request.mutable_spec()->add_after(good);
  const std::string follower = Submit(request);
  const v1::AttemptKey key = Launched(1);
  EXPECT_EQ(key.job(), follower);
  ASSERT_THAT(manager().Report(ErrorReport(key, Code::kInternal, "x")), IsOk());
  executor().EndWorker(follower, 1, "exit code 0");
  v1::CreateJobRequest late = QuantizeRequest();
  late.mutable_spec()->add_after(follower);
  EXPECT_EQ(WaitFor(Submit(late), v1::FAILED).state_reason(),
            "DEPENDENCY_FAILED");
}

TEST_F(JobDependenciesTest, AJobOthersDependOnCannotBeDeleted) {
  const std::string good = Submit(QuantizeRequest("good"));
  ASSERT_THAT(manager().Report(SuccessReport(Launched(0))), IsOk());
  const std::string reader = Submit(EvaluateRequest(good));
  EXPECT_THAT(manager().Delete(good),
              StatusIs(Code::kFailedPrecondition, HasSubstr(reader)));
  ASSERT_THAT(manager().Cancel(reader), IsOk());
  EXPECT_THAT(manager().Delete(good), IsOk());
}

}  // namespace
}  // namespace quantd::test
