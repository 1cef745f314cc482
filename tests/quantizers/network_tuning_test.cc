// The network as a whole: gradients of parameters through all blocks against
// finite differences, and what distillation makes of a compressed model.
#include "quantizers/network_tuning.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "models/model.h"
#include "nlohmann/json.hpp"
#include "quantizers/network_pass.h"
#include "tests/quantizers/tiny_network.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::StatusIs;
using ::testing::_;
using ::testing::HasSubstr;

class NetworkTuningTest : public test::TinyNetworkTest {
 protected:
  absl::StatusOr<Tensor> LogitsOf(const Model& model, int64_t window) {
    const auto batch = SequenceBatch::Uniform(1, windows_.window_tokens);
    ASSIGN_OR_RETURN(Tensor hidden,
                     model.Embed(windows_.Window(window), batch, ctx_));
    for (int k = 0; k < model.block_count(); ++k) {
      ASSIGN_OR_RETURN(const auto block, model.LoadBlock(k, ctx_));
      ASSIGN_OR_RETURN(hidden, block->Forward(hidden, batch, ctx_));
    }
    return model.Logits(hidden, ctx_);
  }
};

// Of row `row`, in float64.
std::vector<double> LogProbabilities(const Tensor& logits, int64_t row) {
  std::vector<double> result(logits.row(row), logits.row(row) + logits.cols());
  double sum = 0;
  for (double v : result) sum += std::exp(v);
  for (double& v : result) v -= std::log(sum);
  return result;
}

TEST_F(NetworkTuningTest, DistillationNearsTheOriginal) {
  ASSERT_OK_AND_ASSIGN(const auto outcome,
                       RunMethod("vptq-distilled",
                                 {"steps=40", "batch_windows=4",
                                  "learning_rate=0.003", "held_out_windows=4"},
                                 "distilled"));
  const nlohmann::json summary = SummaryOf(outcome);
  EXPECT_EQ(summary["distillation"]["kept"], true) << summary["distillation"];
  EXPECT_LT(summary["distillation"]["divergence_after"],
            summary["distillation"]["divergence_before"]);
  // The artifact is a checkpoint like any other.
  ASSERT_OK_AND_ASSIGN(auto made, Checkpoint::Open(outcome.artifact_directory));
  ASSERT_OK_AND_ASSIGN(const auto student, Model::Open(made));
  for (int k = 0; k < student->block_count(); ++k) {
    ASSERT_OK_AND_ASSIGN(const auto block, student->LoadBlock(k, ctx_));
    for (const Linear& layer : block->linears()) {
      EXPECT_NE(layer.compressed(), nullptr) << layer.name();
    }
  }
}

// PV-Tuning: a vector codebook, scalars, and tables of groups of rows and of
// single ones, each nearer than it began and nearer than with its codes as they
// were.
TEST_F(NetworkTuningTest, ChoosingCodesImprovesEveryStart) {
  const std::vector<std::string> steps = {
      "distill.steps=40",   "distill.batch_windows=4",
      "held_out_windows=4", "distill.learning_rate=0.003",
      "check_steps=10",     "code_share=0.05",
      "trust_ratio=0.05"};
  int starts = 0;
  for (const auto& [method, more] :
       std::vector<std::pair<std::string, std::vector<std::string>>>{
           // Entries of codebooks lie farther apart than integers.
           {"pv-tuning", {"index_bits=4", "code_rate=0.2"}},
           {"pv-tuning-gptq", {"group_size=8", "code_rate=0.03"}},
           {"jlcm-distilled", {"tune.steps=10", "code_rate=0.1"}},
           {"jlcm-distilled",
            {"tune.steps=10", "code_rate=0.1", "row_groups=0"}}}) {
    const std::string name = absl::StrCat(method, starts++);
    SCOPED_TRACE(name);
    std::vector<std::string> set = steps;
    set.insert(set.end(), more.begin(), more.end());
    ASSERT_OK_AND_ASSIGN(const auto chosen, RunMethod(method, set, name));
    set.push_back("distill.variable=PARAMETERS");
    ASSERT_OK_AND_ASSIGN(const auto fixed,
                         RunMethod(method, set, name + "-fixed"));
    const nlohmann::json with = SummaryOf(chosen)["distillation"];
    const nlohmann::json without = SummaryOf(fixed)["distillation"];
    EXPECT_EQ(with["kept"], true) << with;
    EXPECT_LT(with["divergence_after"], without["divergence_after"])
        << with << without;
    EXPECT_GT(with["changed_codes"], 0.005) << with;
    EXPECT_EQ(without["changed_codes"], 0) << without;
    EXPECT_EQ(with["divergence_before"], without["divergence_before"]);
  }
}

// Rounding of all layers together; unsure tokens may count more.
TEST_F(NetworkTuningTest, RoundingIsLearnedOverTheWholeNetwork) {
  for (const std::string more : {"deviation_weight=0", "deviation_weight=1"}) {
    ASSERT_OK_AND_ASSIGN(
        const auto outcome,
        RunMethod("autoround-end-to-end",
                  {"group_size=8", "tune.steps=10", "distill.steps=40",
                   "distill.batch_windows=4", "distill.learning_rate=0.01",
                   "held_out_windows=4", more},
                  more));
    const nlohmann::json learned = SummaryOf(outcome)["distillation"];
    EXPECT_EQ(learned["kept"], true) << learned;
    EXPECT_GT(learned["best_step"], 0) << learned;
  }
}

// Of every token the divergence, times 1 + weight (entropy / log V)^power.
TEST_F(NetworkTuningTest, TheLossIsTheDivergenceWeighedByDeviation) {
  ASSERT_OK_AND_ASSIGN(const auto rounded,
                       RunMethod("dual-binary", {"group_size=8"}, "student"));
  ASSERT_OK_AND_ASSIGN(const auto student, Made(rounded));
  constexpr int64_t kTrained = 10;
  double plain = 0, by_entropy = 0, by_square = 0, least = 1, greatest = 0;
  for (int64_t w = 0; w < kTrained; ++w) {
    ASSERT_OK_AND_ASSIGN(const Tensor taught, LogitsOf(*model_, w));
    ASSERT_OK_AND_ASSIGN(const Tensor made, LogitsOf(*student, w));
    for (int64_t t = 0; t < taught.rows(); ++t) {
      const std::vector<double> p = LogProbabilities(taught, t);
      const std::vector<double> q = LogProbabilities(made, t);
      double divergence = 0, entropy = 0;
      for (size_t i = 0; i < p.size(); ++i) {
        divergence += std::exp(p[i]) * (p[i] - q[i]);
        entropy -= std::exp(p[i]) * p[i];
      }
      const double share = entropy / std::log(static_cast<double>(p.size()));
      const double part =
          divergence / static_cast<double>(kTrained * taught.rows());
      plain += part;
      by_entropy += part * share;
      by_square += part * share * share;
      least = std::min(least, share);
      greatest = std::max(greatest, share);
    }
  }
  EXPECT_LT(least, greatest - 0.01);
  const auto first_loss = [&](double weight, double power) {
    NetworkTuningOptions options;
    options.schedule.peak = 1e-4;
    options.batch_windows = kTrained;
    options.held_out_windows = windows_.count() - kTrained;
    options.deviation_weight = weight;
    options.deviation_power = power;
    NetworkTuning tuning(*model_, *student, windows_, options, ctx_);
    double loss = 0;
    EXPECT_THAT(tuning.Run([&](const TuningStep& step) { loss = step.loss; }),
                IsOk());
    return loss;
  };
  EXPECT_NEAR(first_loss(0, 3), plain, 1e-5 * plain);
  EXPECT_NEAR(first_loss(1, 1), plain + by_entropy, 1e-5 * plain);
  EXPECT_NEAR(first_loss(2, 2), plain + 2 * by_square, 1e-5 * plain);
}

// A teacher as unsure of all tokens as it can be: all weights are two, and the
// signs of the gradient those of plain distillation.
TEST_F(NetworkTuningTest, EqualDeviationsArePlainDistillation) {
  test::TinyModelOptions unsure;
  unsure.head_scale = 1e-4f;
  OpenModel(unsure);
  std::vector<double> losses[2];
  std::vector<std::vector<float>> weights[2];
  for (const size_t weight : {size_t{0}, size_t{1}}) {
    ctx_.set_progress_sink([&](const ProgressUpdate& update) {
      if (update.training.has_value()) {
        losses[weight].push_back(update.training->loss);
      }
    });
    ASSERT_OK_AND_ASSIGN(
        const auto outcome,
        RunMethod("db-llm",
                  {"group_size=8", "steps=10", "optimizer=SIGN_SGD",
                   "learning_rate=0.002", "held_out_windows=2",
                   absl::StrCat("deviation_weight=", weight)},
                  absl::StrCat("weight", weight)));
    EXPECT_EQ(SummaryOf(outcome)["distillation"]["kept"], true)
        << SummaryOf(outcome)["distillation"];
    ASSERT_OK_AND_ASSIGN(const auto made, Made(outcome));
    for (int k = 0; k < made->block_count(); ++k) {
      ASSERT_OK_AND_ASSIGN(const auto block, made->LoadBlock(k, ctx_));
      for (const Linear& layer : block->linears()) {
        weights[weight].push_back(ToVector(layer.weight()));
      }
    }
  }
  EXPECT_EQ(weights[0], weights[1]);
  ASSERT_EQ(losses[0].size(), 10u);
  ASSERT_EQ(losses[1].size(), 10u);
  for (size_t i = 0; i < losses[0].size(); ++i) {
    EXPECT_NEAR(losses[1][i], 2 * losses[0][i], 1e-6 * losses[0][i]);
  }
}

// The best of what the windows held out saw is kept, not the last.
TEST_F(NetworkTuningTest, KeepsTheBestOfItsChecks) {
  const std::vector<std::string> set = {
      "steps=12", "batch_windows=4", "learning_rate=0.003",
      "held_out_windows=4", "schedule=CONSTANT"};
  std::vector<std::string> often = set;
  often.push_back("check_steps=1");
  ASSERT_OK_AND_ASSIGN(const auto last,
                       RunMethod("vptq-distilled", set, "last"));
  ASSERT_OK_AND_ASSIGN(const auto best,
                       RunMethod("vptq-distilled", often, "best"));
  EXPECT_LE(SummaryOf(best)["distillation"]["divergence_after"],
            SummaryOf(last)["distillation"]["divergence_after"]);
  EXPECT_EQ(SummaryOf(last)["distillation"]["best_step"], 12);
}

TEST_F(NetworkTuningTest, WhatDoesNotGainIsDropped) {
  ASSERT_OK_AND_ASSIGN(
      const auto outcome,
      RunMethod("vptq-distilled",
                {"steps=1", "learning_rate=10", "held_out_windows=2"},
                "dropped"));
  ASSERT_OK_AND_ASSIGN(const auto expected,
                       RunMethod("vptq-residual", {}, "plain"));
  const nlohmann::json summary = SummaryOf(outcome);
  EXPECT_EQ(summary["distillation"]["kept"], false);
  ASSERT_EQ(outcome.layers.size(), expected.layers.size());
  for (size_t i = 0; i < outcome.layers.size(); ++i) {
    EXPECT_EQ(outcome.layers[i].weight_error, expected.layers[i].weight_error);
  }
}

TEST_F(NetworkTuningTest, RefusesToLearnFromNothing) {
  EXPECT_THAT(
      RunMethod("vptq-distilled", {"steps=1", "held_out_windows=12"}, "none"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("none is left")));
}

TEST_F(NetworkTuningTest, RefusesToChooseCodesThatAreNotFree) {
  EXPECT_THAT(
      RunMethod("pb-llm-trained",
                {"steps=1", "held_out_windows=2", "variable=CODES"}, "binary"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("codes that could be chosen anew")));
}

TEST_F(NetworkTuningTest, IsCancelledBetweenSteps) {
  int steps = 0;
  ctx_.set_progress_sink([&](const ProgressUpdate& update) {
    if (update.phase == "distill" && ++steps == 2) ctx_.RequestCancel();
  });
  EXPECT_THAT(RunMethod("vptq-distilled",
                        {"steps=100000", "held_out_windows=2"}, "cancelled"),
              StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_EQ(steps, 2);
}

// Wherever in a step, or in a look at the windows held out, it comes.
TEST_F(NetworkTuningTest, IsCancelledWithinASecond) {
  int runs = 0;
  for (const char* method : {"vptq-distilled", "pv-tuning", "db-llm"}) {
    for (const int wait_ms : {0, 3, 20}) {
      SCOPED_TRACE(testing::Message() << method << " " << wait_ms);
      std::vector<std::string> set = {"steps=1000000", "held_out_windows=4",
                                      "check_steps=2"};
      if (ResolveRecipe(method, {"group_size=8"}).ok()) {
        set.emplace_back("group_size=8");
      }
      ASSERT_OK_AND_ASSIGN(const RecipeRun run,
                           NewRun(method, set, absl::StrCat("late", runs++)));
      EXPECT_LT(TimeToCancel(run, "distill", absl::Milliseconds(wait_ms)),
                absl::Seconds(1));
    }
  }
}

// The pass forward is the network, and the pass back its gradient.
TEST_F(NetworkTuningTest, PassesAreTheNetworks) {
  NetworkPass pass(
      *model_, [&](int k) { return model_->LoadBlock(k, ctx_); }, 32, ctx_);
  int advanced = 0;
  pass.set_advanced([&] { ++advanced; });
  ASSERT_THAT(pass.Forward({windows_.Window(0), windows_.Window(3)},
                           NetworkPass::Inputs::kKeep),
              IsOk());
  EXPECT_EQ(advanced, model_->block_count());
  const auto batch = SequenceBatch::Uniform(1, 32);
  for (size_t w : {size_t{0}, size_t{1}}) {
    ASSERT_OK_AND_ASSIGN(
        Tensor hidden,
        model_->Embed(windows_.Window(w == 0 ? 0 : 3), batch, ctx_));
    for (int k = 0; k < model_->block_count(); ++k) {
      ASSERT_OK_AND_ASSIGN(const auto block, model_->LoadBlock(k, ctx_));
      ASSERT_OK_AND_ASSIGN(hidden, block->Forward(hidden, batch, ctx_));
    }
    EXPECT_THAT(pass.outputs()[w].values(),
                testing::ElementsAreArray(hidden.values()));
  }
  std::vector<Tensor> gradients;
  for (const Tensor& output : pass.outputs()) {
    gradients.push_back(Tensor::Zeros(output.shape()));
    gradients.back().data()[5] = 1;
  }
  std::vector<int> visited;
  ASSERT_THAT(pass.Backward(
                  std::move(gradients),
                  [&](int, Block& block, absl::Span<const Tensor> found) {
                    EXPECT_EQ(found.size(), block.linears().size());
                    return absl::OkStatus();
                  },
                  [&](int k, Block&) {
                    visited.push_back(k);
                    return absl::OkStatus();
                  }),
              IsOk());
  EXPECT_THAT(visited, testing::ElementsAre(1, 0));
}

}  // namespace
}  // namespace quantd
