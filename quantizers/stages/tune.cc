#include "quantizers/stages/tune.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/layouts/packed_int.h"
#include "models/network/block_plan.h"
#include "models/run_forecast.h"
#include "proto/field_rules.h"
#include "quantizers/block_reconstruction.h"
#include "quantizers/block_tuning.h"
#include "quantizers/learned_rounding.h"
#include "quantizers/set_statistics.h"
#include "quantizers/tuning_options.h"
#include "quantizers/tuning_steps.h"

namespace quantd {
namespace {

// --- Options ---------------------------------------------------------------

// Nullopt: parameters are tuned, the rounding stays.
std::optional<LearnedRoundingOptions> RoundingFrom(
    const v1::TuneStage& options) {
  LearnedRoundingOptions result;
  result.learn_range = options.learn_range();
  result.range_rate = options.range_rate();
  result.penalty = options.penalty();
  result.penalty_start = options.penalty_start();
  switch (options.variable()) {
    case v1::TuneStage::OFFSET:
      result.variable = RoundingVariable::kOffset;
      return result;
    case v1::TuneStage::SIGMOID:
      result.variable = RoundingVariable::kSigmoid;
      return result;
    case v1::TuneStage::DIVISION:
      result.variable = RoundingVariable::kDivision;
      return result;
    case v1::TuneStage::CLIPPING:
      result.variable = RoundingVariable::kClipping;
      return result;
    default:
      return std::nullopt;
  }
}

// --- Stage -----------------------------------------------------------------

class TuneStage final : public Stage, private BlockReconstruction {
 public:
  explicit TuneStage(const v1::TuneStage& options)
      : variable_(v1::TuneStage::Variable_Name(options.variable())),
        rounding_(RoundingFrom(options)) {
    tuning_.optimizer =
        OptimizerFrom(options.optimizer(), options.weight_decay());
    tuning_.schedule = ScheduleFrom(options.schedule(), options.learning_rate(),
                                    options.steps(), options.warmup_steps());
    tuning_.batch_windows = options.batch_windows();
    tuning_.gradient_limit = options.gradient_limit();
    tuning_.seed = options.seed();
  }

  absl::string_view name() const override { return "tune"; }

  void set_solver_grid(const Grid* grid) override { grid_ = grid; }

  absl::Status Validate(const LinearShape& /*layer*/) const override {
    if (!rounding_.has_value()) return absl::OkStatus();
    if (grid_ == nullptr || grid_->name() != "affine") {
      return InvalidField(
          "tune.variable",
          absl::StrCat(variable_,
                       " learns the rounding to an affine grid; the "
                       "recipe's solver has ",
                       grid_ == nullptr ? "a grid of its own"
                                        : absl::StrCat("grid ", grid_->name()),
                       ", for which there is PARAMETERS"));
    }
    return absl::OkStatus();
  }

  StatisticsRequest Needs() const override {
    StatisticsRequest request;
    request.windows = true;
    return request;
  }

  StageCost Cost(const LinearShape& /*layer*/) const override { return {}; }

  const BlockReconstruction* block_reconstruction() const override {
    return this;
  }

  absl::Status ProcessBlock(BlockWork& /*work*/,
                            ExecutionContext& ctx) override {
    return ctx.CheckCancelled();
  }

 private:
  ReconstructionCost Cost(const ModelDescription& model, int64_t windows,
                          int64_t window_tokens) const override {
    const double rows = static_cast<double>(
        std::min(CalibrationBatchWindows(window_tokens), windows) *
        window_tokens);
    double weights = 0;
    for (const LinearPlan& layer : PlanBlock(model, 0).linears) {
      weights +=
          static_cast<double>(layer.rows) * static_cast<double>(layer.cols);
    }
    ReconstructionCost cost;
    // The original, codes, the variable, its gradient and two moments, the
    // weight on its way and its gradient; what a pass keeps until it is run
    // backwards, a few times what it needs at once.
    constexpr double kCopies = 10;
    constexpr double kKept = 3;
    cost.working_bytes =
        static_cast<uint64_t>(kCopies * weights * sizeof(float)) +
        static_cast<uint64_t>(kKept * static_cast<double>(ForwardBytes(
                                          model, static_cast<int64_t>(rows))));
    // Forward, and backward for inputs and for weights.
    const double tokens =
        static_cast<double>(window_tokens) *
        (3.0 * static_cast<double>(tuning_.schedule.steps) *
             static_cast<double>(std::min(tuning_.batch_windows, windows)) +
         2.0 * static_cast<double>(windows));
    cost.product_flops = tokens * ForwardFlops(model, window_tokens);
    return cost;
  }

  absl::StatusOr<BlockReport> Reconstruct(
      const BlockToReconstruct& task, const Progress& progress,
      ExecutionContext& ctx) const override {
    std::vector<TunedLayer> layers;
    for (Linear& layer : task.block->linears()) {
      if (layer.compressed() == nullptr) continue;
      ASSIGN_OR_RETURN(
          auto tunable,
          Annotate(TunableOf(layer, task.originals->at(layer.name())), "layer ",
                   layer.name()));
      if (tunable != nullptr) layers.push_back({&layer, std::move(tunable)});
    }
    BlockTuningOptions options = tuning_;
    // Blocks do not all see the windows in the same order.
    options.seed += static_cast<uint64_t>(task.index) << 32;
    const int64_t steps = options.schedule.steps;
    return TuneBlock(
        *task.block, std::move(layers), *task.inputs, *task.targets,
        task.window_tokens, options,
        [&](const TuningStep& made) {
          progress(
              static_cast<double>(made.step + 1) / static_cast<double>(steps),
              absl::StrCat(task.block->name(), " ", DescribeStep(made, steps)));
        },
        ctx);
  }

  // Null: the layout has nothing to tune.
  absl::StatusOr<std::unique_ptr<TunableLinear>> TunableOf(
      const Linear& layer, const Tensor& original) const {
    const CompressedLinear& compressed = *layer.compressed();
    if (!rounding_.has_value()) return compressed.Tunable();
    std::optional<PackedIntWeights> start = UnpackPackedInt(compressed);
    if (!start.has_value()) {
      return InvalidField(
          "tune.variable",
          absl::StrCat(variable_, " needs codes of one width as ",
                       kPackedIntLayout, " has them, not ",
                       compressed.layout()));
    }
    return NewLearnedRounding(*std::move(start), original, *rounding_);
  }

  const std::string variable_;
  const std::optional<LearnedRoundingOptions> rounding_;
  BlockTuningOptions tuning_;
  const Grid* grid_ = nullptr;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewTuneStage(const v1::TuneStage& options) {
  return std::make_unique<TuneStage>(options);
}

}  // namespace quantd
