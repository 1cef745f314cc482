// What is learned begins where the solver ended, follows the papers' gradients
// and ends on the grid; and compressed layers of every layout as functions of
// what they store.
#include "quantizers/learned_rounding.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "models/activation_store.h"
#include "models/layouts/packed_int.h"
#include "models/model.h"
#include "quantizers/affine_grid.h"
#include "quantizers/block_tuning.h"
#include "quantizers/grids/affine.h"
#include "quantizers/learned_layers.h"
#include "quantizers/recipe.h"
#include "quantizers/tuning_options.h"
#include "tensor/gradient_tape.h"
#include "tests/models/tunable_checks.h"
#include "tests/quantizers/random_matrices.h"
#include "tests/quantizers/tiny_network.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::RandomMatrix;
using ::quantd::test::SavedBytes;
using ::testing::ElementsAreArray;

constexpr int64_t kRows = 6;
constexpr int64_t kCols = 16;
constexpr int64_t kGroup = 8;

// Round to nearest on a min-max grid of three bits.
PackedIntWeights Nearest(const Tensor& w, bool symmetric) {
  AffineGridOptions options;
  options.bits = 3;
  options.symmetric = symmetric;
  PackedIntWeights result;
  result.rows = kRows;
  result.cols = kCols;
  result.bits = 3;
  result.group_size = kGroup;
  result.symmetric = symmetric;
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t g = 0; g < kCols / kGroup; ++g) {
      const absl::Span<const float> values(w.row(r) + g * kGroup, kGroup);
      const GroupGrid grid = FitGroupGrid<float>(values, options);
      result.scales.push_back(grid.scale);
      result.zeros.push_back(static_cast<uint8_t>(grid.zero));
      for (float v : values) {
        result.codes.push_back(
            static_cast<uint8_t>(EncodeWeight(v, grid, options.max_code())));
      }
    }
  }
  return result;
}

class LearnedRoundingTest : public testing::Test {
 protected:
  std::unique_ptr<TunableLinear> Make(v1::TuneStage::Variable variable,
                                      const PackedIntWeights& start) {
    LearnedOptions options;
    options.variable = variable;
    return *NewLearnedRounding(**NewPackedInt(start), w_, options);
  }

  const std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
  const Tensor w_ = RandomMatrix(kRows, kCols, 3);
};

TEST_F(LearnedRoundingTest, BeginsWithTheSolversLayer) {
  for (const bool symmetric : {false, true}) {
    PackedIntWeights start = Nearest(w_, symmetric);
    ASSERT_OK_AND_ASSIGN(const auto layer, NewPackedInt(start));
    for (const v1::TuneStage::Variable variable :
         {v1::TuneStage::OFFSET, v1::TuneStage::DIVISION}) {
      const auto tunable = Make(variable, start);
      ASSERT_OK_AND_ASSIGN(const auto frozen,
                           tunable->Freeze(tunable->Parameters(), ctx_));
      EXPECT_EQ(SavedBytes(*frozen), SavedBytes(*layer)) << symmetric;
    }
    // Also where the solver chose other codes than the nearest.
    for (size_t i = 0; i < start.codes.size(); i += 3) {
      start.codes[i] = static_cast<uint8_t>(
          start.codes[i] > 3 ? start.codes[i] - 2 : start.codes[i] + 2);
    }
    ASSERT_OK_AND_ASSIGN(const auto moved, NewPackedInt(start));
    const auto tunable = Make(v1::TuneStage::OFFSET, start);
    ASSERT_OK_AND_ASSIGN(const auto frozen,
                         tunable->Freeze(tunable->Parameters(), ctx_));
    EXPECT_EQ(SavedBytes(*frozen), SavedBytes(*moved)) << symmetric;
  }
}

TEST_F(LearnedRoundingTest, TheWeightIsWhatIsFrozen) {
  const PackedIntWeights start = Nearest(w_, false);
  for (const v1::TuneStage::Variable variable :
       {v1::TuneStage::OFFSET, v1::TuneStage::DIVISION,
        v1::TuneStage::CLIPPING}) {
    const auto tunable = Make(variable, start);
    std::vector<Tensor> parameters = tunable->Parameters();
    for (size_t p = 0; p < parameters.size(); ++p) {
      const Tensor noise =
          RandomMatrix(parameters[p].rows(), parameters[p].cols(), p + 5);
      for (int64_t i = 0; i < noise.size(); ++i) {
        parameters[p].data()[i] += 0.2f * noise.data()[i];
      }
    }
    tunable->Project(absl::MakeSpan(parameters));
    ASSERT_OK_AND_ASSIGN(const auto frozen, tunable->Freeze(parameters, ctx_));
    EXPECT_THAT(frozen->Decode(ctx_).values(),
                ElementsAreArray(tunable->Weight(parameters, ctx_).values()));
  }
}

// Groups of one bit among wider ones, in whole columns and by row.
TEST_F(LearnedRoundingTest, WidthsMayDiffer) {
  for (const bool by_row : {false, true}) {
    for (const bool symmetric : {false, true}) {
      SCOPED_TRACE(testing::Message() << by_row << symmetric);
      constexpr int64_t kGroups = kCols / kGroup;
      GridPlan plan;
      for (int64_t i = 0; i < (by_row ? kRows * kGroups : kGroups); ++i) {
        plan.group_bits.push_back(static_cast<uint8_t>(1 + i % 3));
      }
      AffineGridOptions options;
      options.bits = 2;
      options.group_size = kGroup;
      options.symmetric = symmetric;
      AffineLayerGrid<float> grid(kRows, kCols, options, plan.group_bits);
      const std::vector<int64_t> all = [] {
        std::vector<int64_t> columns(kCols);
        std::iota(columns.begin(), columns.end(), 0);
        return columns;
      }();
      for (int64_t g = 0; g < kGroups; ++g) {
        for (int64_t r = 0; r < kRows; ++r) {
          grid.FitGroup({r,
                         g,
                         absl::MakeConstSpan(w_.row(r) + g * kGroup, kGroup),
                         absl::MakeConstSpan(all).subspan(
                             static_cast<size_t>(g * kGroup), kGroup),
                         {}});
        }
        Patch<float> patch;
        patch.row_end = kRows;
        patch.column = g * kGroup;
        patch.columns = kGroup;
        patch.group = g;
        patch.values = w_.data() + g * kGroup;
        patch.value_stride = kCols;
        grid.Quantize(patch);
      }
      ASSERT_OK_AND_ASSIGN(const auto layer, std::move(grid).Finish({}));
      ASSERT_EQ(layer->layout(), "mixed-int.v1");
      for (const v1::TuneStage::Variable variable :
           {v1::TuneStage::OFFSET, v1::TuneStage::DIVISION,
            v1::TuneStage::CLIPPING, v1::TuneStage::SIGMOID}) {
        SCOPED_TRACE(variable);
        LearnedOptions learned;
        learned.variable = variable;
        ASSERT_OK_AND_ASSIGN(const auto tunable,
                             NewLearnedRounding(*layer, w_, learned));
        std::vector<Tensor> parameters = tunable->Parameters();
        ASSERT_OK_AND_ASSIGN(const auto start,
                             tunable->Freeze(parameters, ctx_));
        if (variable == v1::TuneStage::OFFSET) {
          EXPECT_EQ(SavedBytes(*start), SavedBytes(*layer));
        }
        // The soft weight is none that is stored.
        if (variable == v1::TuneStage::SIGMOID) continue;
        for (size_t p = 0; p < parameters.size(); ++p) {
          const Tensor noise =
              RandomMatrix(parameters[p].rows(), parameters[p].cols(), p + 5);
          for (int64_t i = 0; i < noise.size(); ++i) {
            parameters[p].data()[i] += 0.2f * noise.data()[i];
          }
        }
        tunable->Project(absl::MakeSpan(parameters));
        ASSERT_OK_AND_ASSIGN(const auto frozen,
                             tunable->Freeze(parameters, ctx_));
        const Tensor decoded = frozen->Decode(ctx_);
        const Tensor weight = tunable->Weight(parameters, ctx_);
        for (int64_t i = 0; i < weight.size(); ++i) {
          ASSERT_NEAR(decoded.data()[i], weight.data()[i], 2e-6) << i;
        }
      }
    }
  }
}

// Half up or down: the soft weight is the weight, the hard one the nearest.
TEST_F(LearnedRoundingTest, SigmoidBeginsAtTheWeightItself) {
  const PackedIntWeights start = Nearest(w_, false);
  const auto tunable = Make(v1::TuneStage::SIGMOID, start);
  std::vector<Tensor> v = tunable->Parameters();
  const Tensor soft = tunable->Weight(v, ctx_);
  ASSERT_OK_AND_ASSIGN(const auto layer, NewPackedInt(start));
  const Tensor nearest = layer->Decode(ctx_);
  for (int64_t i = 0; i < w_.size(); ++i) {
    const size_t g = static_cast<size_t>(i / kGroup);
    // But where the range ends before the weight.
    const float low = start.scales[g] * -static_cast<float>(start.zeros[g]);
    const float high = start.scales[g] * static_cast<float>(7 - start.zeros[g]);
    EXPECT_NEAR(soft.data()[i], std::clamp(w_.data()[i], low, high), 1e-5);
  }
  ASSERT_OK_AND_ASSIGN(const auto frozen, tunable->Freeze(v, ctx_));
  EXPECT_THAT(frozen->Decode(ctx_).values(),
              ElementsAreArray(nearest.values()));
  // Driven to 0 or 1, soft and hard are one and nothing is to be paid.
  for (float& value : v[0].values()) value = value < 0 ? -10.0f : 10.0f;
  ASSERT_OK_AND_ASSIGN(const auto hard, tunable->Freeze(v, ctx_));
  EXPECT_THAT(hard->Decode(ctx_).values(),
              ElementsAreArray(tunable->Weight(v, ctx_).values()));
  EXPECT_EQ(tunable->Penalty(v, 0.5, ctx_).data()[0], 0);
  EXPECT_EQ(tunable->Penalty(v, 0.1, ctx_).size(), 0) << "not yet";
}

// dL/dD2 = -(dL/dWhat) W exp(-(D2 + d3)) where nothing is clipped
// (arXiv:2306.00317, proposition 3.1).
TEST_F(LearnedRoundingTest, DivisionMovesLargeWeightsFurther) {
  const auto tunable = Make(v1::TuneStage::DIVISION, Nearest(w_, false));
  std::vector<Tensor> parameters = tunable->Parameters();
  const Tensor d2 = RandomMatrix(kRows, kCols, 8);
  const Tensor d3 = RandomMatrix(1, kRows, 9);
  for (int64_t i = 0; i < d2.size(); ++i) {
    // Divisors above one: nothing leaves the range.
    parameters[0].data()[i] = 0.1f * std::abs(d2.data()[i]);
  }
  for (int64_t r = 0; r < kRows; ++r) {
    parameters[1].data()[r] = 0.1f * std::abs(d3.data()[r]);
  }
  GradientTape tape(ctx_);
  std::vector<Tensor> watched;
  for (const Tensor& p : parameters) watched.push_back(tape.Watch(p));
  const Tensor weight = tunable->Weight(watched, ctx_);
  const Tensor seed = RandomMatrix(kRows, kCols, 10);
  ASSERT_THAT(tape.Backward({{weight, seed}}), IsOk());
  const Tensor d = tape.Gradient(watched[0]);
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t c = 0; c < kCols; ++c) {
      const float expected =
          -seed.row(r)[c] * w_.row(r)[c] *
          std::exp(-(parameters[0].row(r)[c] + parameters[1].data()[r]));
      EXPECT_NEAR(d.row(r)[c], expected, 2e-5 + 1e-4 * std::abs(expected));
    }
  }
}

TEST_F(LearnedRoundingTest, OffsetsStayWithinHalfAStepAndRangesWithinTheOld) {
  const auto tunable = Make(v1::TuneStage::OFFSET, Nearest(w_, false));
  std::vector<Tensor> parameters = tunable->Parameters();
  for (Tensor& p : parameters) {
    for (float& v : p.values()) v += 3;
  }
  tunable->Project(absl::MakeSpan(parameters));
  for (float v : parameters[0].values()) EXPECT_EQ(v, 0.5f);
  for (float v : parameters[1].values()) EXPECT_EQ(v, 1);
}

// --- A whole descent --------------------------------------------------------

// Remembers what a layer was frozen with, and the weight that it stood for.
class Remembering final : public TunableLinear {
 public:
  struct Memory {
    std::vector<Tensor> parameters;
    Tensor soft;
    Tensor hard;
  };

  Remembering(std::unique_ptr<TunableLinear> layer, Memory* memory)
      : layer_(std::move(layer)), memory_(*memory) {}

  std::vector<Tensor> Parameters() const override {
    return layer_->Parameters();
  }
  double LearningRateFactor(size_t parameter) const override {
    return layer_->LearningRateFactor(parameter);
  }
  Tensor Weight(absl::Span<const Tensor> parameters,
                ExecutionContext& ctx) const override {
    return layer_->Weight(parameters, ctx);
  }
  Tensor Penalty(absl::Span<const Tensor> parameters, double progress,
                 ExecutionContext& ctx) const override {
    return layer_->Penalty(parameters, progress, ctx);
  }
  void Project(absl::Span<Tensor> parameters) const override {
    layer_->Project(parameters);
  }
  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Freeze(
      absl::Span<const Tensor> parameters,
      ExecutionContext& ctx) const override {
    auto frozen = layer_->Freeze(parameters, ctx);
    for (const Tensor& p : parameters) memory_.parameters.push_back(p.Clone());
    memory_.soft = layer_->Weight(parameters, ctx);
    if (frozen.ok()) memory_.hard = (*frozen)->Decode(ctx);
    return frozen;
  }

 private:
  const std::unique_ptr<TunableLinear> layer_;
  Memory& memory_;
};

class AdaRoundTest : public test::TinyNetworkTest {};

// The penalty has to have done its work before roundings are made hard: with
// the options of the recipe, h is 0 or 1 and the soft block is the hard one.
TEST_F(AdaRoundTest, RoundingsAreDecidedWhenTheStepsEnd) {
  ASSERT_OK_AND_ASSIGN(const v1::Recipe recipe,
                       ResolveRecipe("adaround", {"bits=3"}));
  const v1::TuneStage& tune = recipe.stages(1).tune();
  ASSERT_OK_AND_ASSIGN(
      const auto rounded,
      RunMethod("rtn", {"bits=3", "group_size=-1", "range_fit=SHRINK_SEARCH"},
                "rounded"));
  ASSERT_OK_AND_ASSIGN(const auto start, Made(rounded));
  ASSERT_OK_AND_ASSIGN(const auto original, model_->LoadBlock(0, ctx_));
  ASSERT_OK_AND_ASSIGN(const auto block, start->LoadBlock(0, ctx_));

  const int64_t rows = windows_.count() * windows_.window_tokens;
  const auto batch =
      SequenceBatch::Uniform(windows_.count(), windows_.window_tokens);
  ASSERT_OK_AND_ASSIGN(const Tensor x,
                       model_->Embed(windows_.tokens, batch, ctx_));
  ASSERT_OK_AND_ASSIGN(const Tensor y, original->Forward(x, batch, ctx_));
  ASSERT_OK_AND_ASSIGN(auto inputs,
                       ActivationStore::Create(rows, x.cols(), {}));
  ASSERT_OK_AND_ASSIGN(auto targets,
                       ActivationStore::Create(rows, x.cols(), {}));
  ASSERT_THAT(inputs.Write(0, x), IsOk());
  ASSERT_THAT(targets.Write(0, y), IsOk());

  LearnedOptions learned;
  learned.variable = tune.variable();
  learned.penalty = tune.penalty();
  learned.penalty_start = tune.penalty_start();
  BlockTuningOptions options;
  options.optimizer = OptimizerFrom(tune.optimizer(), tune.weight_decay());
  options.schedule = ScheduleFrom(tune.schedule(), tune.learning_rate(),
                                  tune.steps(), tune.warmup_steps());
  options.batch_windows = tune.batch_windows();
  std::vector<Remembering::Memory> memories(block->linears().size());
  std::vector<TunedLayer> layers;
  for (size_t i = 0; i < memories.size(); ++i) {
    Linear& layer = block->linears()[i];
    ASSERT_OK_AND_ASSIGN(
        auto tunable,
        NewLearnedLayer(*layer.compressed(), original->linears()[i].weight(),
                        learned));
    layers.push_back({&layer, std::make_unique<Remembering>(std::move(tunable),
                                                            &memories[i])});
  }
  BlockExamples examples;
  examples.inputs = &inputs;
  examples.targets = &targets;
  examples.window_tokens = windows_.window_tokens;
  ASSERT_OK_AND_ASSIGN(
      const BlockReport report,
      TuneBlock(*block, std::move(layers), examples, options, {}, ctx_));
  EXPECT_TRUE(report.kept);

  int64_t all = 0, within_thousandth = 0, within_twentieth = 0;
  for (const Remembering::Memory& memory : memories) {
    ASSERT_EQ(memory.parameters.size(), 1u);
    for (const float v : memory.parameters[0].values()) {
      const double h =
          std::clamp(1.2 / (1 + std::exp(-double{v})) - 0.1, 0.0, 1.0);
      const double undecided = std::min(h, 1 - h);
      ++all;
      within_thousandth += undecided <= 1e-3;
      within_twentieth += undecided <= 0.05;
    }
  }
  RecordProperty("decided",
                 absl::StrCat(within_thousandth, " to 0.001, ",
                              within_twentieth, " to 0.05 of ", all));
  EXPECT_GE(within_thousandth, all * 99 / 100) << all;
  EXPECT_GE(within_twentieth, all * 995 / 1000) << all;

  // The block with soft roundings makes what it makes with hard ones.
  ASSERT_OK_AND_ASSIGN(const Tensor hard, block->Forward(x, batch, ctx_));
  for (size_t i = 0; i < memories.size(); ++i) {
    EXPECT_THAT(memories[i].hard.values(),
                ElementsAreArray(block->linears()[i].weight().values()));
    block->linears()[i].SetWeight(memories[i].soft);
  }
  ASSERT_OK_AND_ASSIGN(const Tensor soft, block->Forward(x, batch, ctx_));
  double difference = 0, size = 0;
  for (int64_t i = 0; i < hard.size(); ++i) {
    difference += std::pow(double{soft.data()[i]} - hard.data()[i], 2);
    size += std::pow(double{hard.data()[i]}, 2);
  }
  RecordProperty("soft_to_hard", absl::StrCat(std::sqrt(difference / size)));
  EXPECT_LE(std::sqrt(difference / size), 1e-3);
}

// --- Layers as functions of what they store --------------------------------

class TunableLayersTest : public test::TinyNetworkTest {};

// Layers of all built-in recipes: those that can be tuned are what their
// parameters say, and freezing what nobody changed changes nothing.
TEST_F(TunableLayersTest, ParametersSayWhatIsStored) {
  std::set<std::string> tunable_layouts, free_codes;
  for (const v1::Recipe& builtin : BuiltinRecipes()) {
    SCOPED_TRACE(builtin.name());
    std::vector<std::string> assignments;
    for (const char* assignment : {"group_size=8", "steps=1", "tune.steps=1",
                                   "distill.steps=1", "held_out_windows=1"}) {
      // Without groups it takes the split layout.
      if (builtin.name() == "fp6") continue;
      if (ResolveRecipe(builtin.name(), {assignment}).ok()) {
        assignments.emplace_back(assignment);
      }
    }
    ASSERT_OK_AND_ASSIGN(
        const auto outcome,
        RunMethod(builtin.name(), assignments, builtin.name()));
    ASSERT_OK_AND_ASSIGN(auto made,
                         Checkpoint::Open(outcome.artifact_directory));
    ASSERT_OK_AND_ASSIGN(const auto compressed, Model::Open(made));
    ASSERT_OK_AND_ASSIGN(const auto block, compressed->LoadBlock(0, ctx_));
    for (const Linear& layer : block->linears()) {
      if (layer.compressed() == nullptr) continue;
      SCOPED_TRACE(layer.name());
      if (layer.compressed()->Tunable() == nullptr) continue;
      tunable_layouts.insert(std::string(layer.compressed()->layout()));
      test::ExpectParametersSayWhatIsStored(*layer.compressed(), ctx_);
      const auto tunable = layer.compressed()->Tunable();
      if (tunable->Codes(tunable->Parameters(), ctx_) == nullptr) continue;
      free_codes.insert(std::string(layer.compressed()->layout()));
      test::ExpectCodesCanBeChosen(*layer.compressed(), ctx_);
    }
  }
  for (const char* layout :
       {"packed-int.v1", "packed-affine.v1", "lookup-table.v1",
        "row-codebook.v1", "grouped-codebook.v1", "vector-codebook.v1",
        "fp6-split.v1", "input-scale.v1", "input-rotation.v1",
        "low-rank-sum.v1", "sparse-overlay.v1", "partially-binary.v1",
        "dual-binary.v1", "mixed-int.v1"}) {
    EXPECT_TRUE(tunable_layouts.contains(layout)) << layout;
  }
  for (const char* layout :
       {"packed-int.v1", "packed-affine.v1", "mixed-int.v1", "lookup-table.v1",
        "row-codebook.v1", "grouped-codebook.v1", "vector-codebook.v1"}) {
    EXPECT_TRUE(free_codes.contains(layout)) << layout;
  }
}

}  // namespace
}  // namespace quantd
