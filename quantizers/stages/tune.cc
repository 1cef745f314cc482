#include "quantizers/stages/tune.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/network/block_plan.h"
#include "models/run_forecast.h"
#include "proto/field_rules.h"
#include "quantizers/block_reconstruction.h"
#include "quantizers/block_tuning.h"
#include "quantizers/learned_layers.h"
#include "quantizers/set_statistics.h"
#include "quantizers/tuning_options.h"
#include "quantizers/tuning_steps.h"

namespace quantd {
namespace {

// Bits of a code of a grid of tables: what a weight costs in rows so long that
// the tables cost nothing.
double CodeBits(const Grid& grid) {
  const LinearShape shape = {"", 1 << 10, 1 << 20};
  const double weights =
      static_cast<double>(shape.rows) * static_cast<double>(shape.cols);
  return std::floor(8 * static_cast<double>(grid.Cost(shape).stored_bytes) /
                    weights);
}

// --- Stage -----------------------------------------------------------------

class TuneStage final : public Stage, private BlockReconstruction {
 public:
  explicit TuneStage(const v1::TuneStage& options) {
    learned_.variable = options.variable();
    learned_.learn_range = options.learn_range();
    learned_.range_rate = options.range_rate();
    learned_.penalty = options.penalty();
    learned_.penalty_start = options.penalty_start();
    learned_.mapping_rule = options.mapping_rule();
    tuning_.optimizer =
        OptimizerFrom(options.optimizer(), options.weight_decay());
    tuning_.schedule = ScheduleFrom(options.schedule(), options.learning_rate(),
                                    options.steps(), options.warmup_steps());
    tuning_.batch_windows = options.batch_windows();
    tuning_.gradient_limit = options.gradient_limit();
    tuning_.seed = options.seed();
    tuning_.loss = options.loss();
    tuning_.inputs = options.inputs();
    tuning_.mixup = options.mixup();
  }

  absl::string_view name() const override { return "tune"; }

  void set_solver_grid(const Grid* grid) override { grid_ = grid; }

  absl::Status Validate(const LinearShape& /*layer*/) const override {
    if (learned_.variable == v1::TuneStage::CODES) {
      return InvalidField("tune.variable",
                          "CODES are chosen by distillation, which sees the "
                          "whole network");
    }
    return CheckLearnedVariable("tune", learned_.variable, grid_);
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
  bool wants_original_inputs() const override {
    return tuning_.inputs != v1::TuneStage::COMPRESSED;
  }

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
    double copies = 10;
    if (learned_.variable == v1::TuneStage::MAPPING && grid_ != nullptr) {
      // A variable for every entry that a weight may take.
      copies += 4.0 * (std::exp2(CodeBits(*grid_)) - 1);
    }
    constexpr double kKept = 3;
    cost.working_bytes =
        static_cast<uint64_t>(copies * weights * sizeof(float)) +
        static_cast<uint64_t>(kKept * static_cast<double>(ForwardBytes(
                                          model, static_cast<int64_t>(rows))));
    // Forward, and backward for inputs and for weights.
    const double tokens =
        static_cast<double>(window_tokens) *
        (3.0 * (tuning_.inputs == v1::TuneStage::BOTH ? 2.0 : 1.0) *
             static_cast<double>(tuning_.schedule.steps) *
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
          Annotate(NewLearnedLayer(*layer.compressed(),
                                   task.originals->at(layer.name()), learned_),
                   "layer ", layer.name()));
      if (tunable != nullptr) layers.push_back({&layer, std::move(tunable)});
    }
    BlockTuningOptions options = tuning_;
    // Blocks do not all see the windows in the same order.
    options.seed += static_cast<uint64_t>(task.index) << 32;
    const int64_t steps = options.schedule.steps;
    return TuneBlock(
        *task.block, std::move(layers),
        {task.inputs, task.targets, task.original_inputs, task.window_tokens},
        options, [&](const TuningStep& made) { progress(made, steps); }, ctx);
  }

  LearnedOptions learned_;
  BlockTuningOptions tuning_;
  const Grid* grid_ = nullptr;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewTuneStage(const v1::TuneStage& options) {
  return std::make_unique<TuneStage>(options);
}

}  // namespace quantd
