#include "server/job_telemetry.h"

#include <sstream>

#include "nlohmann/json.hpp"
#include "prometheus/text_serializer.h"
#include "spdlog/sinks/ostream_sink.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class JobTelemetryTest : public ::testing::Test {
 protected:
  std::string Page() const {
    return prometheus::TextSerializer().Serialize(registry_.Collect());
  }
  std::vector<nlohmann::json> Lines() const {
    std::vector<nlohmann::json> lines;
    std::istringstream in(text_.str());
    for (std::string line; std::getline(in, line);) {
      lines.push_back(nlohmann::json::parse(line));
    }
    return lines;
  }

  static v1::Job QuantizeJob() {
    v1::Job job;
    job.set_name("jobs/j");
    job.mutable_spec()->mutable_quantize()->set_model("models/m");
    job.mutable_spec()->mutable_quantize()->set_method("gptq");
    job.set_state(v1::QUEUED);
    job.mutable_create_time()->set_seconds(1000);
    return job;
  }

  std::ostringstream text_;
  JsonLog log_{LogLevel::kInfo,
               std::make_shared<spdlog::sinks::ostream_sink_mt>(text_)};
  prometheus::Registry registry_;
  JobTelemetry telemetry_{&registry_, &log_, "local"};
};

TEST_F(JobTelemetryTest, EveryTransitionIsOneLineWithJobModelAndMethod) {
  v1::Job job = QuantizeJob();
  telemetry_.OnSubmitted(job, false);
  job.set_state(v1::RUNNING);
  job.set_attempt(1);
  job.mutable_start_time()->set_seconds(1003);
  telemetry_.OnStateChange(job, v1::QUEUED, "STARTED");
  job.set_state(v1::FAILED);
  job.mutable_end_time()->set_seconds(1010);
  job.mutable_error()->set_message("boom");
  telemetry_.OnStateChange(job, v1::RUNNING, "ERROR");
  ASSERT_EQ(Lines().size(), 3u);
  for (const nlohmann::json& line : Lines()) {
    EXPECT_EQ(line["event"], "job_transition");
    EXPECT_EQ(line["job"], "jobs/j");
    EXPECT_EQ(line["model"], "models/m");
    EXPECT_EQ(line["method"], "gptq");
  }
  EXPECT_EQ(Lines()[2]["to"], "failed");
  EXPECT_EQ(Lines()[2]["error"], "boom");
  EXPECT_THAT(
      Page(),
      AllOf(HasSubstr("quantd_job_queue_seconds_sum{executor=\"local\",kind="
                      "\"quantize\",method_family=\"gptq\"} 3"),
            HasSubstr("quantd_job_run_seconds_sum{executor=\"local\",kind="
                      "\"quantize\",method_family=\"gptq\"} 7"),
            HasSubstr("quantd_jobs_finished_total{kind=\"quantize\",reason="
                      "\"error\",state=\"failed\"} 1")));
}

TEST_F(JobTelemetryTest, ARetriedSubmissionIsCountedApartAndNotLogged) {
  telemetry_.OnSubmitted(QuantizeJob(), true);
  EXPECT_TRUE(Lines().empty());
  EXPECT_THAT(Page(), AllOf(HasSubstr("quantd_jobs_deduplicated_total{"),
                            Not(HasSubstr("quantd_jobs_submitted_total{"))));
}

TEST_F(JobTelemetryTest, LostAndFencedAttemptsAreCountedAndWarned) {
  telemetry_.OnAttemptLost(QuantizeJob(), "killed by signal 9");
  telemetry_.OnReportRefused("jobs/j", 1);
  EXPECT_THAT(
      Page(),
      AllOf(HasSubstr("quantd_attempts_lost_total{executor=\"local\"} 1"),
            HasSubstr("quantd_attempts_fenced_total{executor=\"local\"} 1")));
  ASSERT_EQ(Lines().size(), 2u);
  EXPECT_EQ(Lines()[0]["level"], "warning");
  EXPECT_EQ(Lines()[0]["why"], "killed by signal 9");
}

TEST_F(JobTelemetryTest, OnlyKnownWordsBecomeLabels) {
  v1::Job job = QuantizeJob();
  job.mutable_spec()->mutable_quantize()->set_method("my own recipe");
  job.set_state(v1::CANCELLED);
  telemetry_.OnStateChange(job, v1::QUEUED, "because I said so");
  EXPECT_EQ(MethodFamilyLabel(job.spec()), "custom");
  EXPECT_THAT(Page(),
              AllOf(HasSubstr("reason=\"other\""), Not(HasSubstr("I said so")),
                    Not(HasSubstr("my own"))));
  v1::JobSpec evaluate;
  evaluate.mutable_evaluate();
  EXPECT_EQ(KindLabel(evaluate), "evaluate");
  EXPECT_EQ(MethodFamilyLabel(evaluate), "none");
  EXPECT_EQ(KindLabel(v1::JobSpec()), "none");
}

}  // namespace
}  // namespace quantd::test
