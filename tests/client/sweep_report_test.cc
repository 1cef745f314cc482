#include "client/sweep_report.h"

#include <string>

#include "base/file.h"
#include "client/sweep_json.h"
#include "client/sweep_plots.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

SweepRow Point(const std::string& method, int bits, double kl) {
  SweepRow row;
  row.point = SweepPoint{method, {"bits=" + std::to_string(bits)}};
  row.label = row.point->Label();
  row.bits_per_weight = bits + 0.25;
  row.size_bytes = static_cast<uint64_t>(bits) << 20;
  v1::DivergenceReport* report = row.scores.emplace().add_divergences();
  report->set_metric("divergence/gptq-512");
  report->mutable_kl()->mutable_mean()->set_mean(kl);
  report->mutable_kl()->mutable_mean()->set_error_clustered(kl / 10);
  return row;
}

SweepResult Example() {
  SweepResult result;
  result.name = "s";
  result.model = "models/m";
  result.command = "quantctl sweep m --name s";
  result.terms.set_alpha(0.05);
  result.rows.resize(1);
  result.rows[0].label = kOriginal;
  result.rows.push_back(Point("rtn", 2, 1));
  result.rows[1].calibration.set_dataset("datasets/d");
  result.rows[1].calibration.set_windows(16);
  result.rows.push_back(Point("gptq", 2, 0.5));
  SweepRow failed;
  failed.point = SweepPoint{"gptq", {"bits=9"}};
  failed.label = failed.point->Label();
  failed.failure = "a | b";
  result.rows.push_back(failed);
  SweepFront front;
  front.loss = {"divergence/gptq-512", SweepLoss::kMeanKl};
  front.standings = {std::nullopt, ParetoStanding{Standing::kDominated, 2},
                     ParetoStanding{}, std::nullopt};
  result.fronts = {front};
  return result;
}

TEST(SweepReportTest, JsonSaysWhoDominatesWhom) {
  const Json json = SweepToJson(Example());
  EXPECT_EQ(json["format"], "quantd-sweep.v1");
  EXPECT_EQ(json["rows"].size(), 4u);
  EXPECT_EQ(json["rows"][0]["original"], true);
  EXPECT_EQ(json["rows"][3]["complete"], false);
  EXPECT_EQ(json["rows"][3]["failure"], "a | b");
  const Json& points = json["fronts"][0]["points"];
  ASSERT_EQ(points.size(), 2u);
  EXPECT_EQ(points[0]["point"], "rtn bits=2");
  EXPECT_EQ(points[0]["standing"], "dominated");
  EXPECT_EQ(points[0]["dominated_by"], "gptq bits=2");
  EXPECT_EQ(points[1]["standing"], "front");
  EXPECT_FALSE(points[1].contains("dominated_by"));
}

TEST(SweepReportTest, MarkdownHasCommandsTablesAndPlots) {
  const std::string text = SweepToMarkdown(Example());
  EXPECT_THAT(text, HasSubstr("    quantctl sweep m --name s\n"));
  EXPECT_THAT(text, HasSubstr("## divergence/gptq-512\n\n| POINT |"));
  EXPECT_THAT(text, HasSubstr("| gptq bits=9 | a \\| b |"));
  EXPECT_THAT(text,
              HasSubstr("](bits_per_weight-divergence_gptq-512-mean_kl.svg)"));
  EXPECT_THAT(text, HasSubstr("    quantctl quantize m --method rtn --set "
                              "bits=2 --calibration d --windows 16 --name "
                              "s-rtn-bits2\n"));
  EXPECT_THAT(text, HasSubstr("intervals have level 0.9"));
}

TEST(SweepReportTest, PlotsMarkTheFrontAndWhatIsDominated) {
  SweepResult result = Example();
  const auto plots = SweepPlots(result);
  ASSERT_THAT(plots, SizeIs(1));
  const Plot& plot = plots[0].plot;
  ASSERT_THAT(plot.points, SizeIs(2));
  EXPECT_EQ(plot.points[0].mark, PointMark::kHollow);
  EXPECT_EQ(plot.points[1].mark, PointMark::kOnFront);
  EXPECT_EQ(plot.points[1].series, "gptq");
  EXPECT_FALSE(plot.y.logarithmic);
  // Losses that are far apart need a logarithmic axis.
  result.rows[2] = Point("gptq", 2, 0.01);
  EXPECT_TRUE(SweepPlots(result)[0].plot.y.logarithmic);
  // One point is no front.
  result.fronts[0].standings[1].reset();
  EXPECT_THAT(SweepPlots(result), IsEmpty());
}

TEST(SweepReportTest, MeasuredCostsHaveATableAndPlotsWithBothErrors) {
  SweepResult result = Example();
  for (SweepRow& row : result.rows) {
    if (!row.scores.has_value()) continue;
    v1::EfficiencyReport* report = row.scores->add_efficiencies();
    report->set_metric("efficiency/pp16-tg4");
    report->set_repetitions(4);
    report->mutable_target()->mutable_prompt()->set_mean(1000);
    report->mutable_target()->mutable_generation()->set_mean(50);
    report->mutable_target()->mutable_generation()->set_deviation(2);
    report->mutable_target()->set_loaded_bytes(3 << 20);
    report->set_peak_resident_bytes(5 << 20);
  }
  SweepFront front = result.fronts[0];
  front.cost = {SweepCostKind::kGenerationSpeed, "efficiency/pp16-tg4"};
  result.fronts.push_back(front);
  std::string text = SweepToMarkdown(result);
  EXPECT_THAT(text, HasSubstr("## efficiency/pp16-tg4\n\n| POINT |"));
  EXPECT_THAT(text, HasSubstr("| 1000 +/- 0 | 50 +/- 1 | 3.0 MiB | 5.0 MiB |"));
  EXPECT_THAT(text, HasSubstr("| BY BITS | BY SPEED |"));
  EXPECT_THAT(text, HasSubstr("by less than 5 %"));
  EXPECT_THAT(text, Not(HasSubstr("ORIGINAL'S")));
  const auto plots = SweepPlots(result);
  ASSERT_THAT(plots, SizeIs(2));
  EXPECT_EQ(plots[1].file,
            "generated_tokens_per_second-pp16-tg4-divergence_gptq-512-mean_kl"
            ".svg");
  EXPECT_EQ(plots[1].plot.points[0].x, 50);
  EXPECT_EQ(plots[1].plot.points[0].x_error, 1);
  EXPECT_THAT(plots[1].plot.x.label, HasSubstr("(pp16-tg4)"));
  EXPECT_EQ(plots[0].plot.points[0].x_error, 0);
  // In turns with the original there are ratios.
  v1::EfficiencyReport* report = result.rows[1].scores->mutable_efficiencies(0);
  report->mutable_baseline();
  report->mutable_generation_ratio()->set_ratio(1.25);
  report->mutable_generation_ratio()->set_error(0.125);
  text = SweepToMarkdown(result);
  EXPECT_THAT(text, HasSubstr("ONE AT A TIME / ORIGINAL'S"));
  EXPECT_THAT(text, HasSubstr("| 1.25 +/- 0.12 |"));
  // Of two metrics the columns say which is meant.
  *result.rows[1].scores->add_efficiencies() = *report;
  result.rows[1].scores->mutable_efficiencies(1)->set_metric(
      "efficiency/pp8-tg4");
  EXPECT_THAT(SweepToMarkdown(result), HasSubstr("| BY SPEED, PP16-TG4 |"));
}

TEST(SweepReportTest, EverythingIsWrittenIntoTheFolder) {
  const TempDir dir;
  const std::string folder = dir.File("new/folder");
  const auto paths = WriteSweep(Example(), folder);
  ASSERT_TRUE(paths.ok()) << paths.status();
  EXPECT_THAT(*paths, SizeIs(3));
  const auto json = nlohmann::json::parse(*ReadFile(folder + "/sweep.json"));
  EXPECT_EQ(json["format"], "quantd-sweep.v1");
  EXPECT_THAT(*ReadFile((*paths)[2]), HasSubstr("</svg>"));
  EXPECT_FALSE(WriteSweep(Example(), folder + "/sweep.json").ok());
}

TEST(SweepReportTest, WordsAreQuotedForTheShell) {
  EXPECT_EQ(ShellQuoted("group_size=64"), "group_size=64");
  EXPECT_EQ(ShellQuoted("a/b.txt"), "a/b.txt");
  EXPECT_EQ(ShellQuoted("gptq bits=3"), "'gptq bits=3'");
  EXPECT_EQ(ShellQuoted("it's"), "'it'\\''s'");
  EXPECT_EQ(ShellQuoted(""), "''");
  EXPECT_THAT(ShellQuoted("$(x)"), Not(::testing::StartsWith("$")));
}

}  // namespace
}  // namespace quantd::test
