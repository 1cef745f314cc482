#include "client/job_progress.h"

#include <algorithm>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace quantd::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

v1::WatchJobResponse Update(double fraction, double eta_seconds = 0) {
  v1::WatchJobResponse response;
  response.mutable_job()->set_name("jobs/1");
  response.mutable_job()->set_state(v1::RUNNING);
  response.mutable_job()->set_attempt(1);
  v1::Progress* progress = response.mutable_job()->mutable_progress();
  progress->set_phase("quantize");
  progress->set_detail("blocks.3.mlp.down_proj");
  progress->set_fraction(fraction);
  progress->set_eta_seconds(eta_seconds);
  return response;
}

v1::WatchJobResponse Change(v1::JobState to, const std::string& reason = "") {
  v1::WatchJobResponse response;
  response.mutable_job()->set_name("jobs/1");
  response.mutable_job()->set_state(to);
  response.mutable_job()->set_state_reason(reason);
  response.mutable_event()->set_sequence(1);
  response.mutable_event()->mutable_state()->set_to(to);
  response.mutable_event()->mutable_state()->set_reason(reason);
  return response;
}

size_t Lines(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(ProgressLinesTest, OneLinePerTenPercentNotPerUpdate) {
  std::ostringstream out;
  const auto progress = NewProgressLines(out);
  for (int i = 0; i <= 1000; ++i) progress->Show(Update(i / 1000.0));
  progress->Finish();
  EXPECT_EQ(Lines(out.str()), 10u);
  EXPECT_THAT(out.str(),
              StartsWith("jobs/1: 10 % quantize blocks.3.mlp.down_proj\n"));
  EXPECT_THAT(out.str(), Not(HasSubstr("\r")));
  EXPECT_THAT(out.str(), Not(HasSubstr("\033")));
}

TEST(ProgressLinesTest, ShowsEventsReasonsAndEstimates) {
  std::ostringstream out;
  const auto progress = NewProgressLines(out);
  progress->Show(Change(v1::QUEUED, "WAITING_FOR_DEPENDENCY"));
  progress->Show(Update(0.5, 90));
  v1::WatchJobResponse note = Update(0.5);
  note.mutable_event()->set_note("block 3 of 8 written");
  progress->Show(note);
  EXPECT_EQ(out.str(),
            "jobs/1: QUEUED (WAITING_FOR_DEPENDENCY)\n"
            "jobs/1: 50 % quantize blocks.3.mlp.down_proj, ETA 1 m 30 s\n"
            "jobs/1: block 3 of 8 written\n");
}

TEST(ProgressLinesTest, NextAttemptCountsFromTheBeginning) {
  std::ostringstream out;
  const auto progress = NewProgressLines(out);
  progress->Show(Update(0.8));
  v1::WatchJobResponse second = Update(0.2);
  second.mutable_job()->set_attempt(2);
  progress->Show(second);
  EXPECT_THAT(out.str(), HasSubstr("80 %"));
  EXPECT_THAT(out.str(), HasSubstr("20 %"));
}

TEST(ProgressJsonTest, EveryLineIsAnObject) {
  std::ostringstream out;
  const auto progress = NewProgressJson(out);
  progress->Show(Change(v1::QUEUED));
  progress->Show(Update(0.25));
  progress->Remark("connection lost");
  std::istringstream lines(out.str());
  std::string line;
  std::vector<nlohmann::json> objects;
  while (std::getline(lines, line)) {
    objects.push_back(nlohmann::json::parse(line, nullptr, false));
  }
  ASSERT_EQ(objects.size(), 3u);
  EXPECT_EQ(objects[0]["event"]["state"]["to"], "QUEUED");
  EXPECT_EQ(objects[1]["progress"]["fraction"], 0.25);
  EXPECT_FALSE(objects[1].contains("event"));
  EXPECT_EQ(objects[2]["remark"], "connection lost");
}

TEST(ProgressBarTest, TextHasBarPercentPhaseAndEstimate) {
  EXPECT_EQ(ProgressBarText(Update(0.5).job(), 80, 42),
            "[############------------]  50 %  "
            "quantize blocks.3.mlp.down_proj  ETA 42 s");
  EXPECT_EQ(ProgressBarText(Change(v1::QUEUED, "WAITING").job(), 80, 0),
            "[------------------------]   0 %  QUEUED (WAITING)");
}

TEST(ProgressBarTest, FitsNarrowTerminals) {
  for (int columns : {45, 50, 60, 80}) {
    EXPECT_LE(ProgressBarText(Update(0.5).job(), columns, 42).size(),
              static_cast<size_t>(columns));
  }
}

TEST(ProgressBarTest, FractionsOutsideTheUnitIntervalAreHarmless) {
  EXPECT_THAT(ProgressBarText(Update(7).job(), 80, 0), HasSubstr("100 %"));
  EXPECT_THAT(ProgressBarText(Update(-7).job(), 80, 0), HasSubstr("  0 %"));
  EXPECT_THAT(ProgressBarText(Update(0.0 / 0.0).job(), 80, 0),
              HasSubstr("  0 %"));
}

TEST(ProgressBarTest, EstimatesFromItsOwnSpeedWhenTheServerDoesNot) {
  std::ostringstream out;
  absl::Time now = absl::UnixEpoch();
  const auto progress = NewProgressBar(out, 100, [&] { return now; });
  progress->Show(Update(0.0));
  now += absl::Seconds(30);
  progress->Show(Update(0.25));
  EXPECT_THAT(out.str(), HasSubstr("ETA 1 m 30 s"));
}

TEST(ProgressBarTest, RedrawsOneLineAndErasesItAtTheEnd) {
  std::ostringstream out;
  const auto progress =
      NewProgressBar(out, 80, [] { return absl::UnixEpoch(); });
  progress->Show(Update(0.1));
  progress->Show(Update(0.2));
  progress->Finish();
  EXPECT_EQ(Lines(out.str()), 0u);
  EXPECT_THAT(out.str(), testing::EndsWith("\r\033[K"));
}

TEST(ProgressBarTest, WarningsStayVisible) {
  std::ostringstream out;
  const auto progress =
      NewProgressBar(out, 80, [] { return absl::UnixEpoch(); });
  v1::WatchJobResponse warning = Update(0.3);
  warning.mutable_event()->set_warning("damping raised");
  progress->Show(warning);
  EXPECT_THAT(out.str(), HasSubstr("warning: damping raised\n"));
}

}  // namespace
}  // namespace quantd::test
