#include "evaluators/efficiency.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "models/checkpoint.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::quantd::test::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Every reading of the clock is `wall_step` after the one before it, or the
// first of `wall_steps` while there are any; of the CPUs likewise.
class ScriptedMeter final : public ProcessMeter {
 public:
  double WallSeconds() override {
    double step = wall_step;
    if (!wall_steps.empty()) {
      step = wall_steps.front();
      wall_steps.pop_front();
    }
    return wall_ += step;
  }
  double CpuSeconds() override { return cpu_ += cpu_step; }
  uint64_t ResidentBytes() override { return resident += resident_step; }
  uint64_t PeakResidentBytes() override {
    const uint64_t now = peak;
    peak = next_peak;
    return now;
  }
  MachineLoad Load() override { return load; }

  double wall_step = 1;
  std::deque<double> wall_steps;
  double cpu_step = 1;
  uint64_t resident = 1000, resident_step = 0;
  uint64_t peak = 5000, next_peak = 5000;
  MachineLoad load;

 private:
  double wall_ = 0, cpu_ = 0;
};

class EfficiencyTest : public testing::Test {
 protected:
  std::unique_ptr<Model> Open(const test::TinyModelOptions& options = {}) {
    directories_.push_back(std::make_unique<TempDir>());
    test::WriteTinyModel(directories_.back()->path(), options);
    return *Model::Open(*Checkpoint::Open(directories_.back()->path()));
  }

  absl::StatusOr<v1::EfficiencyReport> Measure(const Model* baseline = nullptr,
                                               int threads = 1) {
    const auto device = NewCpuDevice(threads);
    ExecutionContext ctx(device.get());
    warnings_.clear();
    parts_.clear();
    ctx.set_warning_sink([&](absl::string_view text) {
      warnings_.push_back(std::string(text));
    });
    const std::unique_ptr<Model> model = Open();
    return MeasureEfficiency(
        *model, baseline, options_, meter_,
        [&](double part) {
          parts_.push_back(part);
          if (cancel_at_ > 0 && part >= cancel_at_) ctx.RequestCancel();
        },
        ctx);
  }

  EfficiencyOptions options_ = {.prompt_tokens = 8, .new_tokens = 4};
  ScriptedMeter meter_;
  double cancel_at_ = 0;
  std::vector<std::string> warnings_;
  std::vector<double> parts_;
  std::vector<std::unique_ptr<TempDir>> directories_;
};

TEST(ParseEfficiencyTest, ReadsBothNumbersAndGivesTheNameBack) {
  ASSERT_OK_AND_ASSIGN(const EfficiencyOptions options,
                       ParseEfficiency("pp512-tg128"));
  EXPECT_EQ(options.prompt_tokens, 512);
  EXPECT_EQ(options.new_tokens, 128);
  EXPECT_EQ(options.repetitions, 5);
  EXPECT_EQ(options.name(), "efficiency/pp512-tg128");
}

TEST(ParseEfficiencyTest, RefusesEverythingElseByName) {
  for (const char* parameters :
       {"", "pp", "pp512", "tg128", "pp512-tg", "pp-tg128", "pp0-tg1",
        "pp1-tg0", "pp512-tg128-x", "pp512-tg128 ", "pp-1-tg4", "pp+1-tg4",
        "pp007-tg4", "pp1048577-tg1", "pp99999999999-tg1", "pp512,tg128"}) {
    EXPECT_THAT(ParseEfficiency(parameters),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("efficiency/ppN-tgM")))
        << parameters;
  }
}

// The clock is read once at each end of what is measured, so that a prompt
// takes one second, a first token two, and a step one.
TEST_F(EfficiencyTest, RatesFollowTheClock) {
  meter_.resident_step = 10;
  ASSERT_OK_AND_ASSIGN(const v1::EfficiencyReport report, Measure());
  EXPECT_EQ(report.metric(), "efficiency/pp8-tg4");
  EXPECT_EQ(report.prompt_tokens(), 8u);
  EXPECT_EQ(report.new_tokens(), 4u);
  EXPECT_EQ(report.repetitions(), 5u);
  EXPECT_EQ(report.threads(), 1u);
  EXPECT_EQ(report.compute_type(), "F32");
  const v1::ModelEfficiency& target = report.target();
  EXPECT_EQ(target.prompt().mean(), 8);
  EXPECT_EQ(target.prompt().deviation(), 0);
  EXPECT_THAT(target.prompt().values(), ElementsAre(8, 8, 8, 8, 8));
  EXPECT_EQ(target.generation().mean(), 1);
  EXPECT_EQ(target.first_token().mean(), 2);
  EXPECT_EQ(target.latency().steps(), 20u);
  EXPECT_EQ(target.latency().mean_seconds(), 1);
  EXPECT_EQ(target.latency().p99_seconds(), 1);
  EXPECT_EQ(target.load_seconds(), 1);
  EXPECT_EQ(target.loaded_bytes(), 10u);
  EXPECT_GT(target.weight_bytes(), 0u);
  EXPECT_EQ(target.prompt_time().wall_seconds(), 5);
  EXPECT_EQ(target.generation_time().wall_seconds(), 20);
  EXPECT_EQ(target.generation_time().cpu_seconds(), 20);
  EXPECT_FALSE(report.has_baseline());
  EXPECT_FALSE(report.has_prompt_ratio());
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(EfficiencyTest, MeanDeviationAndPercentilesAreThoseOfTheValues) {
  options_ = {.prompt_tokens = 6, .new_tokens = 2, .repetitions = 2};
  // Differences of readings: load; per repetition start, prompt, first token,
  // then start and end of two steps. 0 at starts.
  meter_.wall_steps = {0,   1, 0, 2, 1, 0,    0.5, 0,
                       1.5, 0, 3, 1, 0, 0.25, 0,   0.75};
  ASSERT_OK_AND_ASSIGN(const v1::EfficiencyReport report, Measure());
  const v1::ModelEfficiency& target = report.target();
  EXPECT_THAT(target.prompt().values(), ElementsAre(3, 2));
  EXPECT_EQ(target.prompt().mean(), 2.5);
  EXPECT_NEAR(target.prompt().deviation(), std::sqrt(0.5), 1e-15);
  EXPECT_THAT(target.first_token().values(), ElementsAre(3, 4));
  EXPECT_THAT(target.generation().values(), ElementsAre(1, 2));
  // 0.25, 0.5, 0.75, 1.5.
  EXPECT_EQ(target.latency().steps(), 4u);
  EXPECT_EQ(target.latency().mean_seconds(), 0.75);
  EXPECT_EQ(target.latency().median_seconds(), 0.625);
  EXPECT_NEAR(target.latency().p90_seconds(), 0.75 + 0.7 * 0.75, 1e-12);
}

// A machine that becomes slower and slower, by the same factor for both models
// of a repetition, leaves their ratio alone.
TEST_F(EfficiencyTest, DriftThatHitsBothAlikeCancelsInTheRatio) {
  const auto baseline = Open();
  options_ = {.prompt_tokens = 4, .new_tokens = 1, .repetitions = 4};
  meter_.wall_steps = {0, 1, 0, 1};  // both loads
  for (int r = 0; r < 4; ++r) {
    const double slow = 1 + r;
    for (int i = 0; i < 2; ++i) {
      // The target takes half the baseline's time; they go first in turns.
      const bool is_target = (r + i) % 2 == 0;
      const double seconds = slow * (is_target ? 1 : 2);
      for (double step : {0.0, seconds, 0.0, 0.0, seconds}) {
        meter_.wall_steps.push_back(step);
      }
    }
  }
  ASSERT_OK_AND_ASSIGN(const v1::EfficiencyReport report,
                       Measure(baseline.get()));
  EXPECT_GT(report.target().prompt().deviation(), 1);
  EXPECT_NEAR(report.prompt_ratio().ratio(), 2, 1e-12);
  EXPECT_NEAR(report.prompt_ratio().error(), 0, 1e-12);
  EXPECT_NEAR(report.generation_ratio().ratio(), 2, 1e-12);
  EXPECT_NEAR(report.generation_ratio().error(), 0, 1e-12);
}

TEST_F(EfficiencyTest, TheKernelsPeakCountsOnlyIfItRose) {
  meter_.next_peak = 7000;
  ASSERT_OK_AND_ASSIGN(const v1::EfficiencyReport rose, Measure());
  EXPECT_EQ(rose.peak_resident_bytes(), 7000u);
  EXPECT_FALSE(rose.peak_is_sampled());
  meter_.peak = meter_.next_peak;
  meter_.resident = 1234;
  ASSERT_OK_AND_ASSIGN(const v1::EfficiencyReport earlier, Measure());
  EXPECT_EQ(earlier.peak_resident_bytes(), 1234u);
  EXPECT_TRUE(earlier.peak_is_sampled());
}

TEST_F(EfficiencyTest, WarnsWhenOthersHoldTheMachine) {
  meter_.cpu_step = 0.25;
  meter_.load = {7.5, 100000};
  ASSERT_OK_AND_ASSIGN(const v1::EfficiencyReport report, Measure());
  EXPECT_EQ(report.load_average(), 7.5);
  EXPECT_EQ(report.other_running_threads(), 100000u);
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("100000 other threads"),
                                     HasSubstr("of CPU time")));
}

TEST_F(EfficiencyTest, WarnsBeyondTheContext) {
  options_.new_tokens = 65;  // of 64
  ASSERT_TRUE(Measure().ok());
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("65 tokens exceed")));
}

TEST_F(EfficiencyTest, AClockThatStandsStillIsAnError) {
  meter_.wall_step = 0;
  EXPECT_THAT(Measure(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("clock")));
}

TEST_F(EfficiencyTest, ProgressRisesToOneAndCancellationStopsIt) {
  const auto baseline = Open();
  ASSERT_TRUE(Measure(baseline.get()).ok());
  EXPECT_TRUE(std::is_sorted(parts_.begin(), parts_.end()));
  EXPECT_DOUBLE_EQ(parts_.back(), 1);
  cancel_at_ = 0.5;
  EXPECT_THAT(Measure(baseline.get()),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("")));
  EXPECT_LT(parts_.back(), 0.6);
}

TEST_F(EfficiencyTest, TheSystemsClockGivesPositiveNumbers) {
  const auto meter = NewProcessMeter();
  const auto device = NewCpuDevice(2);
  ExecutionContext ctx(device.get());
  const auto model = Open();
  ASSERT_OK_AND_ASSIGN(
      const v1::EfficiencyReport report,
      MeasureEfficiency(
          *model, model.get(), options_, *meter, [](double) {}, ctx));
  for (const v1::ModelEfficiency* each :
       {&report.target(), &report.baseline()}) {
    EXPECT_GT(each->prompt().mean(), 0);
    EXPECT_GT(each->generation().mean(), 0);
    EXPECT_GT(each->first_token().mean(), 0);
    EXPECT_GT(each->latency().median_seconds(), 0);
    EXPECT_LE(each->latency().median_seconds(), each->latency().p99_seconds());
    EXPECT_GT(each->generation_time().cpu_seconds(), 0);
    EXPECT_GT(each->load_seconds(), 0);
  }
  EXPECT_GT(report.peak_resident_bytes(), report.target().weight_bytes());
  EXPECT_GT(report.prompt_ratio().ratio(), 0);
}

TEST(ForecastEfficiencyTest, HoldsAllBlocksOfBothModels) {
  TempDir dir;
  test::WriteTinyModel(dir.path(), {});
  ASSERT_OK_AND_ASSIGN(auto checkpoint, Checkpoint::Open(dir.path()));
  ModelFootprint footprint;
  ASSERT_OK_AND_ASSIGN(footprint.description, DescribeModel(*checkpoint));
  const EfficiencyOptions options = {.prompt_tokens = 16, .new_tokens = 8};
  const RunForecast alone = ForecastEfficiency(footprint, nullptr, options);
  const RunForecast pair = ForecastEfficiency(footprint, &footprint, options);
  EXPECT_EQ(alone.parts[0].bytes, 2 * FloatBlockBytes(footprint.description));
  EXPECT_EQ(SumOf(pair.parts), 2 * SumOf(alone.parts));
  EXPECT_EQ(pair.work.product_flops, 2 * alone.work.product_flops);
}

}  // namespace
}  // namespace quantd
