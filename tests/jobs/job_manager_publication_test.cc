#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "tests/jobs/job_manager_fixture.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Code = absl::StatusCode;

using JobPublicationTest = JobManagerFixture;

TEST_F(JobPublicationTest, AReportRepeatedAfterALostAnswerIsOk) {
  const std::string name = Submit(QuantizeRequest("out"));
  const v1::AttemptKey key = Launched(0);
  const v1::ReportAttemptRequest report = SuccessReport(key);
  ASSERT_THAT(manager().Report(report), IsOk());
  ASSERT_OK_AND_ASSIGN(v1::Job first, manager().Get(name));
  ASSERT_THAT(manager().Report(report), IsOk());
  ASSERT_OK_AND_ASSIGN(v1::Job second, manager().Get(name));
  EXPECT_EQ(first.SerializeAsString(), second.SerializeAsString());
  v1::ReportAttemptRequest forged = report;
  forged.mutable_key()->mutable_token()->front() ^= 1;
  EXPECT_THAT(manager().Report(forged),
              StatusIs(Code::kAborted, HasSubstr("STALE_ATTEMPT")));
}

TEST_F(JobPublicationTest, ConcurrentReportsPublishOnce) {
  const std::string name = Submit(QuantizeRequest("out"));
  const v1::ReportAttemptRequest report = SuccessReport(Launched(0));
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back(
        [&] { EXPECT_THAT(manager().Report(report), IsOk()); });
  }
  for (std::thread& caller : callers) caller.join();
  ASSERT_OK_AND_ASSIGN(auto events, manager().EventsAfter(name, 0, 100));
  EXPECT_EQ(std::count_if(events.begin(), events.end(),
                          [](const v1::JobEvent& event) {
                            return event.state().to() == v1::SUCCEEDED;
                          }),
            1);
}

TEST_F(JobPublicationTest, AnEndedJobHoldsNoFiles) {
  Submit(QuantizeRequest("out"));
  ASSERT_THAT(manager().Report(SuccessReport(Launched(0))), IsOk());
  const std::string digest = Sha256Hex("codes");
  EXPECT_THAT(server_.artifacts->holds().TryRemove({digest}).digests(),
              ElementsAre(digest));
}

TEST_F(JobPublicationTest, AReportWithoutOutcomeIsRefused) {
  Submit(QuantizeRequest());
  v1::ReportAttemptRequest report;
  *report.mutable_key() = Launched(0);
  EXPECT_THAT(manager().Report(report),
              StatusIs(Code::kInvalidArgument, HasSubstr("no outcome")));
}

struct BadArtifact {
  const char* what;
  void (*spoil)(v1::AttemptSuccess*);
  Code code;
  const char* message;
};

TEST_F(JobPublicationTest, ABrokenArtifactFailsTheJobAndPublishesNothing) {
  const BadArtifact kCases[] = {
      {"a wrong digest",
       [](v1::AttemptSuccess* s) {
         s->mutable_artifact()->mutable_files(0)->set_digest(
             Sha256Hex("something else"));
       },
       Code::kDataLoss, "model.bin"},
      {"a wrong size",
       [](v1::AttemptSuccess* s) {
         s->mutable_artifact()->mutable_files(0)->set_size_bytes(4);
       },
       Code::kDataLoss, "model.bin has 5 bytes"},
      {"a missing file",
       [](v1::AttemptSuccess* s) {
         s->mutable_artifact()->mutable_files(0)->set_path("none.bin");
       },
       Code::kNotFound, "none.bin"},
      {"a path that leaves the directory",
       [](v1::AttemptSuccess* s) {
         s->mutable_artifact()->mutable_files(0)->set_path("../x");
       },
       Code::kInternal, "../x"},
      {"a directory outside the workspace",
       [](v1::AttemptSuccess* s) { s->set_artifact_directory("/tmp"); },
       Code::kInternal, "outside its workspace"},
      {"a file twice",
       [](v1::AttemptSuccess* s) {
         *s->mutable_artifact()->add_files() = s->artifact().files(0);
       },
       Code::kInternal, "twice"},
      {"no files",
       [](v1::AttemptSuccess* s) { s->mutable_artifact()->clear_files(); },
       Code::kInternal, "without files"},
      {"no artifact", [](v1::AttemptSuccess* s) { s->Clear(); },
       Code::kInternal, "without files"},
  };
  size_t launches = 0;
  for (const BadArtifact& row : kCases) {
    SCOPED_TRACE(row.what);
    const std::string output = "out" + std::to_string(launches);
    const std::string name = Submit(QuantizeRequest(output));
    v1::ReportAttemptRequest report = SuccessReport(Launched(launches++));
    row.spoil(report.mutable_success());
    EXPECT_THAT(manager().Report(report),
                StatusIs(row.code, HasSubstr(row.message)));
    ASSERT_OK_AND_ASSIGN(v1::Job job, manager().Get(name));
    EXPECT_EQ(job.state(), v1::FAILED);
    EXPECT_EQ(job.error().code(), static_cast<int>(row.code));
    EXPECT_EQ(job.result().artifact(), "");
    EXPECT_FALSE(server_.store->GetBytes(Table::kArtifacts, output).ok());
    executor().EndWorker(name, 1, "exit code 0");
  }
}

TEST_F(JobPublicationTest, AnEvaluationWithoutReportFails) {
  const std::string name = Submit(EvaluateRequest("tiny"));
  v1::ReportAttemptRequest report;
  *report.mutable_key() = Launched(0);
  report.mutable_success();
  EXPECT_FALSE(manager().Report(report).ok());
  EXPECT_EQ(StateOf(name), v1::FAILED);
}

}  // namespace
}  // namespace quantd::test
