#include <string>
#include <vector>

#include "client/client.h"
#include "tests/client/fake_quantd.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class WatchJobTest : public ::testing::Test {
 protected:
  WatchJobTest() : client_(Options()) {
    watch_.on_response = [this](const v1::WatchJobResponse& response) {
      ++responses_;
      if (response.has_event()) {
        sequences_.push_back(response.event().sequence());
      }
    };
    watch_.on_interruption = [this](const absl::Status& status) {
      ++interruptions_;
      EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    };
  }

  ClientOptions Options() {
    ClientOptions options;
    options.server = fake_.address();
    options.first_pause = absl::Milliseconds(1);
    options.give_up_after = absl::Milliseconds(50);
    return options;
  }

  std::string Submit(const JobScript& script) {
    fake_.SetScript(script);
    v1::JobSpec spec;
    spec.mutable_quantize()->set_model("m");
    spec.mutable_quantize()->set_method("rtn");
    return client_.CreateJob(spec, {})->name();
  }

  FakeQuantd fake_;
  Client client_;
  WatchJobOptions watch_;
  int responses_ = 0;
  int interruptions_ = 0;
  std::vector<uint64_t> sequences_;
};

TEST_F(WatchJobTest, DeliversEverythingAndReturnsTheJobAsItEnded) {
  const std::string name = Submit({});
  ASSERT_OK_AND_ASSIGN(const v1::Job job, client_.WatchJob(name, watch_));
  EXPECT_EQ(job.state(), v1::SUCCEEDED);
  EXPECT_EQ(responses_, 13);  // three changes of state, ten updates
  EXPECT_THAT(sequences_, ElementsAre(101, 102, 103));
  EXPECT_EQ(interruptions_, 0);
}

TEST_F(WatchJobTest, FailedJobIsAnAnswerNotAnError) {
  JobScript script;
  script.end = v1::FAILED;
  script.error = "layer 3: not finite";
  ASSERT_OK_AND_ASSIGN(const v1::Job job,
                       client_.WatchJob(Submit(script), watch_));
  EXPECT_EQ(job.state(), v1::FAILED);
  EXPECT_EQ(job.error().message(), "layer 3: not finite");
}

TEST_F(WatchJobTest, BrokenStreamIsResumedAfterTheLastEvent) {
  // With one response per connection only events carry the stream on.
  JobScript script;
  script.progress_updates = 0;
  script.break_after = 1;
  const std::string name = Submit(script);
  ASSERT_OK_AND_ASSIGN(const v1::Job job, client_.WatchJob(name, watch_));
  EXPECT_EQ(job.state(), v1::SUCCEEDED);
  EXPECT_THAT(sequences_, ElementsAre(101, 102, 103));  // no gap, no repeat
  EXPECT_THAT(fake_.watch_tokens(), ElementsAre(0, 101, 102));
  EXPECT_EQ(interruptions_, 2);
}

TEST_F(WatchJobTest, StartsAfterTheGivenSequence) {
  const std::string name = Submit({});
  watch_.after_sequence = 102;
  ASSERT_THAT(client_.WatchJob(name, watch_), IsOk());
  EXPECT_THAT(sequences_, ElementsAre(103));
}

TEST_F(WatchJobTest, NothingLeftToSeeStillReturnsTheEndedJob) {
  JobScript script;
  script.progress_updates = 0;
  const std::string name = Submit(script);
  watch_.after_sequence = 103;
  ASSERT_OK_AND_ASSIGN(const v1::Job job, client_.WatchJob(name, watch_));
  EXPECT_EQ(job.state(), v1::SUCCEEDED);
  EXPECT_EQ(responses_, 0);
}

TEST_F(WatchJobTest, GivesUpWhenTheServerStaysAway) {
  const std::string name = Submit({});
  fake_.FailNext(1 << 20,
                 grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining"));
  EXPECT_THAT(client_.WatchJob(name, watch_),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("draining")));
  EXPECT_GT(interruptions_, 1);
}

TEST_F(WatchJobTest, UnknownJobIsNotFoundAtOnce) {
  EXPECT_THAT(client_.WatchJob("nine", watch_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("jobs/nine")));
  EXPECT_EQ(interruptions_, 0);
}

}  // namespace
}  // namespace quantd::test
