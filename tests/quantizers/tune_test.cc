// The tune stage: what it refuses, and what it makes of blocks.
#include "quantizers/stages/tune.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "models/layouts/lookup_table.h"
#include "models/layouts/packed_int.h"
#include "nlohmann/json.hpp"
#include "quantizers/learned_power.h"
#include "tests/quantizers/tiny_network.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::_;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

// Pearson's, of pairs.
class Correlation {
 public:
  void Add(double x, double y) {
    count_ += 1;
    x_ += x;
    y_ += y;
    xx_ += x * x;
    xy_ += x * y;
    yy_ += y * y;
  }
  // Zero where either does not vary.
  double Value() const {
    const double variance_x = xx_ / count_ - x_ / count_ * (x_ / count_);
    const double variance_y = yy_ / count_ - y_ / count_ * (y_ / count_);
    if (!(variance_x > 0) || !(variance_y > 0)) return 0;
    return (xy_ / count_ - x_ / count_ * (y_ / count_)) /
           std::sqrt(variance_x * variance_y);
  }

 private:
  double count_ = 0, x_ = 0, y_ = 0, xx_ = 0, xy_ = 0, yy_ = 0;
};

class TuneTest : public test::TinyNetworkTest {};

// Every variable lowers the error of every block, and says so.
TEST_F(TuneTest, LearnsSomethingInEveryBlock) {
  int runs = 0;
  for (const auto& [method, set] :
       std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"autoround",
            {"bits=3", "group_size=8", "steps=60", "learning_rate=0.0166"}},
           {"adaround", {"bits=3", "steps=150"}},
           {"flexround", {"bits=3", "steps=100"}},
           {"omniquant-clipping", {"bits=2", "group_size=8", "steps=60"}},
           {"gptq-tuned",
            {"bits=2", "group_size=8", "steps=60", "learning_rate=0.0166"}},
           {"vptq-tuned", {"steps=60"}},
           {"nupes-tuned", {"bits=3", "steps=60"}},
           {"jlcm", {"steps=60"}},
           {"jlcm", {"steps=60", "mapping_rule=SOFTMAX"}},
           {"jlcm", {"steps=60", "row_groups=0"}}}) {
    SCOPED_TRACE(method);
    ASSERT_OK_AND_ASSIGN(const auto outcome,
                         RunMethod(method, set, absl::StrCat(method, runs++)));
    const nlohmann::json summary = SummaryOf(outcome);
    ASSERT_EQ(summary["reconstructions"].size(), 2u);
    for (const auto& block : summary["reconstructions"]) {
      EXPECT_EQ(block["kept"], true) << block;
      EXPECT_LT(block["loss_after"], block["loss_before"]) << block;
    }
  }
}

// The farther a weight lies from zero, the farther division moves it; also
// where scales stay (arXiv:2306.00317, section 3.2 and figure 3).
TEST_F(TuneTest, DivisionMovesLargeWeightsFurther) {
  ASSERT_OK_AND_ASSIGN(
      const auto rounded,
      RunMethod("rtn", {"bits=4", "group_size=-1"}, "rounded"));
  ASSERT_OK_AND_ASSIGN(const auto before, Made(rounded));
  for (const std::string range : {"learn_range=true", "learn_range=false"}) {
    SCOPED_TRACE(range);
    ASSERT_OK_AND_ASSIGN(
        const auto outcome,
        RunMethod("flexround", {"bits=4", "steps=150", range}, range));
    ASSERT_OK_AND_ASSIGN(const auto after, Made(outcome));
    Correlation all;
    for (int k = 0; k < model_->block_count(); ++k) {
      ASSERT_OK_AND_ASSIGN(const auto original, model_->LoadBlock(k, ctx_));
      ASSERT_OK_AND_ASSIGN(const auto first, before->LoadBlock(k, ctx_));
      ASSERT_OK_AND_ASSIGN(const auto last, after->LoadBlock(k, ctx_));
      for (size_t i = 0; i < original->linears().size(); ++i) {
        const Tensor& w = original->linears()[i].weight();
        const auto start = UnpackPackedInt(*first->linears()[i].compressed());
        const auto end = UnpackPackedInt(*last->linears()[i].compressed());
        ASSERT_TRUE(start.has_value());
        ASSERT_TRUE(end.has_value());
        EXPECT_EQ(start->zeros, end->zeros);
        Correlation own;
        for (size_t e = 0; e < start->codes.size(); ++e) {
          const double size = std::abs(w.data()[e]);
          const double change = std::abs(start->codes[e] - end->codes[e]);
          own.Add(size, change);
          all.Add(size, change);
        }
        EXPECT_GT(own.Value(), 0) << original->linears()[i].name();
      }
    }
    RecordProperty(range, absl::StrCat(all.Value()));
    EXPECT_GT(all.Value(), 0.1);
  }
}

// Of every layer its own, where it is learned; else what the search found.
TEST_F(TuneTest, PowersAreLearnedLayerByLayer) {
  for (const bool learned : {false, true}) {
    ASSERT_OK_AND_ASSIGN(
        const auto outcome,
        RunMethod("nupes-tuned",
                  {"bits=3", "steps=60",
                   absl::StrCat("learn_range=", learned ? "true" : "false")},
                  absl::StrCat("learned", learned)));
    const double found = SummaryOf(outcome)["surveys"][0]["found"]["exponent"];
    ASSERT_OK_AND_ASSIGN(const auto made, Made(outcome));
    std::vector<double> exponents;
    for (int k = 0; k < made->block_count(); ++k) {
      ASSERT_OK_AND_ASSIGN(const auto block, made->LoadBlock(k, ctx_));
      for (const Linear& layer : block->linears()) {
        const auto stored = UnpackLookupTable(*layer.compressed());
        ASSERT_TRUE(stored.has_value()) << layer.name();
        const auto exponent = ExponentOfPowerValues(stored->values);
        ASSERT_TRUE(exponent.has_value()) << layer.name();
        exponents.push_back(*exponent);
      }
    }
    if (!learned) {
      EXPECT_THAT(exponents, Each(DoubleNear(found, 1e-6)));
      continue;
    }
    EXPECT_THAT(exponents, Contains(Not(DoubleNear(found, 1e-3)))) << found;
    std::sort(exponents.begin(), exponents.end());
    EXPECT_GT(exponents.back() - exponents.front(), 1e-3);
  }
}

// Whatever is descended along, squared errors fall.
TEST_F(TuneTest, LearnsByEveryLossFromEveryInputAndWithEveryOptimizer) {
  for (const std::string set :
       {"loss=ABSOLUTE", "loss=COSINE_DISTANCE", "loss=CHANNEL_SQUARED",
        "inputs=ORIGINAL", "inputs=BOTH", "mixup=0.5", "optimizer=ADAMAX"}) {
    SCOPED_TRACE(set);
    std::vector<std::string> all = {
        "bits=2",         "group_size=8",       "steps=60",
        "optimizer=ADAM", "learning_rate=0.01", "batch_windows=4"};
    if (set == "optimizer=ADAMAX") all.erase(all.begin() + 3);
    all.push_back(set);
    ASSERT_OK_AND_ASSIGN(const auto outcome, RunMethod("autoround", all, set));
    const nlohmann::json summary = SummaryOf(outcome);
    ASSERT_EQ(summary["reconstructions"].size(), 2u);
    for (const auto& block : summary["reconstructions"]) {
      EXPECT_EQ(block["kept"], true) << block;
    }
  }
}

TEST_F(TuneTest, ABlockThatDoesNotGainStaysAsItWas) {
  ASSERT_OK_AND_ASSIGN(const auto outcome,
                       RunMethod("autoround",
                                 {"group_size=8", "steps=2", "learning_rate=10",
                                  "schedule=CONSTANT"},
                                 "tuned"));
  ASSERT_OK_AND_ASSIGN(const auto expected,
                       RunMethod("rtn", {"group_size=8"}, "plain"));
  const nlohmann::json summary = SummaryOf(outcome);
  for (const auto& block : summary["reconstructions"]) {
    EXPECT_EQ(block["kept"], false) << block;
  }
  ASSERT_EQ(outcome.layers.size(), expected.layers.size());
  for (size_t i = 0; i < outcome.layers.size(); ++i) {
    EXPECT_EQ(outcome.layers[i].weight_error, expected.layers[i].weight_error);
  }
}

TEST_F(TuneTest, ReportsStepLossAndRateAndIsCancelledBetweenSteps) {
  ASSERT_OK_AND_ASSIGN(
      const RecipeRun run,
      NewRun("autoround", {"group_size=8", "steps=1000000"}, "cancelled"));
  double last = -1;
  int updates = 0;
  ctx_.set_progress_sink([&](const ProgressUpdate& update) {
    EXPECT_GE(update.fraction, last) << update.detail;
    last = update.fraction;
    if (update.phase != "tune") {
      EXPECT_FALSE(update.training.has_value());
      return;
    }
    ASSERT_TRUE(update.training.has_value());
    EXPECT_EQ(update.training->step, updates + 1);
    EXPECT_EQ(update.training->steps, 1000000);
    EXPECT_GT(update.training->loss, 0);
    EXPECT_NEAR(update.training->learning_rate, 0.005, 1e-6);
    EXPECT_THAT(update.detail,
                AllOf(HasSubstr("of 1000000"), HasSubstr("loss "),
                      HasSubstr("learning rate 0.005")));
    if (++updates == 3) ctx_.RequestCancel();
  });
  EXPECT_THAT(RunRecipe(run, ctx_), StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_EQ(updates, 3);
}

// Wherever in a step it comes.
TEST_F(TuneTest, IsCancelledWithinASecond) {
  int runs = 0;
  for (const std::string method : {"autoround", "jlcm", "vptq-tuned"}) {
    for (const int wait_ms : {0, 3, 20}) {
      SCOPED_TRACE(testing::Message() << method << " " << wait_ms);
      std::vector<std::string> set = {"steps=1000000"};
      if (method == "autoround") set.emplace_back("group_size=8");
      ASSERT_OK_AND_ASSIGN(const RecipeRun run,
                           NewRun(method, set, absl::StrCat("late", runs++)));
      EXPECT_LT(TimeToCancel(run, "tune", absl::Milliseconds(wait_ms)),
                absl::Seconds(1));
    }
  }
}

TEST_F(TuneTest, RefusesWhatItCannotLearn) {
  const auto check = [&](const std::string& stages, const std::string& what) {
    auto resolved = ParseRecipe("name: \"x\" " + stages);
    if (resolved.ok()) resolved = CompleteRecipe(*std::move(resolved), {});
    absl::Status status = resolved.status();
    if (resolved.ok()) {
      auto compiled = CompiledRecipe::Compile(*resolved);
      status = compiled.ok() ? compiled->CheckFits(model_->description())
                             : compiled.status();
    }
    EXPECT_THAT(status,
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what)));
  };
  check(
      "stages { rtn { grid { codebook {} } } } "
      "stages { tune { variable: SIGMOID } }",
      "SIGMOID is learned on grid affine; the recipe's solver has grid "
      "codebook");
  check(
      "stages { half_quadratic { group_size: 8 } } "
      "stages { tune { variable: OFFSET } }",
      "a grid of its own");
  check(
      "stages { rtn { grid { affine { group_size: 8 } } } } stages { tune { "
      "variable: CODES } }",
      "chosen by distillation");
  check(
      "stages { rtn { grid { affine { group_size: 8 } } } } stages { distill { "
      "variable: SIGMOID } }",
      "there is tune for it");
  check(
      "stages { rtn { grid { affine { group_size: 8 } } } } stages { distill { "
      "variable: FACTORS } }",
      "FACTORS is learned on grid vector_codebook");
  check(
      "stages { rtn { grid { affine { group_size: 8 } } } } "
      "stages { tune { variable: POWER } }",
      "POWER is learned on grid power");
  check(
      "stages { rtn { grid { affine { group_size: 8 } } } } "
      "stages { tune { variable: MAPPING } }",
      "MAPPING is learned on grid codebook");
  check("stages { tune {} } stages { rtn {} }",
        "comes before the solver that it repairs");
  check("stages { rtn {} } stages { tune {} } stages { tune {} }",
        "a second one after stages[1]");
  check("stages { rtn {} } stages { tune {} } stages { low_rank {} }",
        "comes after the tuning");
  check("calibration_inputs: ORIGINAL stages { rtn {} } stages { tune {} }",
        "calibration_inputs");
  check("stages { rtn {} } stages { tune { steps: 0 } }", "steps");
  check(
      "stages { rtn {} } stages { tune {} } "
      "layer_rules { pattern: \".*q_proj\" set: \"steps=3\" }",
      "concerns the whole network");
}

}  // namespace
}  // namespace quantd
