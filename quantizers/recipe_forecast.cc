#include "quantizers/recipe_forecast.h"

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "models/network/block_plan.h"
#include "quantizers/learned_layers.h"
#include "quantizers/set_statistics.h"

namespace quantd {
namespace {

// Headers of a shard, of config.json and of quantd.json per layer.
constexpr uint64_t kTextBytesPerLayer = 1024;
constexpr uint64_t kTextBytes = 16 * 1024;

uint64_t Bytes(double floats) {
  return static_cast<uint64_t>(floats * sizeof(float));
}

double Square(int64_t n) {
  return static_cast<double>(n) * static_cast<double>(n);
}

// What the stages of one layer need together.
StageCost CostOf(const CompiledRecipe::Stages& stages,
                 const LinearShape& layer) {
  StageCost total;
  for (const auto& stage : stages) {
    const StageCost cost = stage->Cost(layer);
    // The last stage to compress decides what is stored.
    if (cost.stored_bytes > 0) total.stored_bytes = cost.stored_bytes;
    total.added_bytes += cost.added_bytes;
    total.working_bytes =
        std::max(total.working_bytes, total.held_bytes + cost.working_bytes);
    total.held_bytes += cost.held_bytes;
    total.product_flops += cost.product_flops;
    total.rounded_weights += cost.rounded_weights;
    total.factor_flops_per_set += cost.factor_flops_per_set;
  }
  total.stored_bytes += total.added_bytes;
  return total;
}

// The worst moment of one block, in the two halves of a calibrated set: while
// statistics are gathered, and while its layers are compressed.
struct BlockMoments {
  uint64_t second_moments = 0;
  uint64_t gathering = 0;
  uint64_t compressing = 0;
};

// What a block of the result weighs.
struct BlockSizes {
  uint64_t compressed = 0;
  uint64_t stored = 0;
};

class Forecaster {
 public:
  Forecaster(const CompiledRecipe& recipe, const ModelFootprint& footprint,
             const CalibrationShape& calibration)
      : recipe_(recipe),
        footprint_(footprint),
        description_(footprint.description),
        calibration_(calibration),
        batch_rows_(recipe.needs().any()
                        ? CalibrationBatchWindows(calibration.window_tokens) *
                              calibration.window_tokens
                        : 0) {}

  RunForecast Run() {
    forecast_.output_bytes =
        footprint_.outer_bytes + footprint_.companion_bytes + kTextBytes;
    for (int k = 0; k < description_.blocks; ++k) {
      AddBlock(PlanBlock(description_, k));
    }
    forecast_.work.moved_bytes += static_cast<double>(forecast_.output_bytes);
    recipe_.needs().any() ? AddCalibrated() : AddLayerByLayer();
    return std::move(forecast_);
  }

 private:
  void AddBlock(const BlockPlan& plan) {
    RunWork& work = forecast_.work;
    BlockSizes sizes;
    sizes.stored = footprint_.other_bytes;
    uint64_t finished = 0;  // compressed layers before this one
    BlockMoments sum;       // of sets whose statistics are held together
    for (const std::vector<int>& set : plan.sets) {
      BlockMoments moment;
      bool compresses = false;
      double factor_flops = 0;
      for (int index : set) {
        const LinearPlan& layer = plan.linears[static_cast<size_t>(index)];
        const double weights =
            static_cast<double>(layer.rows) * static_cast<double>(layer.cols);
        forecast_.output_bytes += kTextBytesPerLayer;
        const auto& stages = recipe_.StagesOf(layer.name);
        if (stages.empty()) {
          sizes.stored +=
              static_cast<uint64_t>(weights) * footprint_.weight_bytes;
          continue;
        }
        compresses = true;
        const StageCost cost = CostOf(stages, layer);
        sizes.stored += cost.stored_bytes;
        sizes.compressed += cost.stored_bytes;
        moment.compressing = std::max(moment.compressing, cost.working_bytes);
        // A transposed layer is converted first, then turned.
        const uint64_t loaded = Bytes(weights) * (layer.transposed ? 2 : 1);
        layer_bytes_ = std::max(
            layer_bytes_,
            std::max(loaded, Bytes(weights) + cost.working_bytes) + finished);
        finished += cost.stored_bytes;
        work.product_flops += cost.product_flops;
        work.rounded_weights += cost.rounded_weights;
        double reads = 1;
        for (const auto& stage : stages) reads += stage->survey_passes();
        work.moved_bytes +=
            reads * weights * static_cast<double>(footprint_.weight_bytes);
        factor_flops = std::max(factor_flops, cost.factor_flops_per_set);
      }
      work.factor_flops += factor_flops;
      if (!compresses || !recipe_.needs().any()) continue;
      const int64_t cols = plan.linears[static_cast<size_t>(set[0])].cols;
      moment.second_moments = 2 * Bytes(Square(cols));  // float64
      moment.gathering = GatheringBytes(cols);
      const double rows = static_cast<double>(calibration_.windows) *
                          static_cast<double>(calibration_.window_tokens);
      work.product_flops += 2 * rows * Square(cols);
      if (recipe_.gathers_per_set()) {
        Consider(moment);
      } else {
        sum.second_moments += moment.second_moments;
        sum.gathering = std::max(sum.gathering, moment.gathering);
        sum.compressing = std::max(sum.compressing, moment.compressing);
      }
    }
    Consider(sum);
    // The finished tensors and the bytes about to be written.
    writing_ = std::max(writing_, 2 * sizes.compressed);
    forecast_.output_bytes += sizes.stored;
  }

  // While a batch runs to the input of a set of `cols` channels: the forward
  // pass itself, or its product with itself.
  uint64_t GatheringBytes(int64_t cols) const {
    const double product = std::min(
        Square(cols), std::max<double>(Device::kGramScratch,
                                       256.0 * static_cast<double>(cols)));
    const double held =
        static_cast<double>(batch_rows_) *
        static_cast<double>(3 * description_.hidden_size + cols);
    return std::max(ForwardBytes(description_, batch_rows_),
                    Bytes(product + held));
  }

  void Consider(const BlockMoments& moment) {
    const auto total = [](const BlockMoments& m) {
      return m.second_moments + std::max(m.gathering, m.compressing);
    };
    if (total(moment) > total(worst_)) worst_ = moment;
  }

  void AddLayerByLayer() {
    forecast_.parts.push_back(
        {"one layer in float32 and at work, finished layers of its block",
         std::max(layer_bytes_, writing_)});
  }

  void AddCalibrated() {
    const double windows = static_cast<double>(calibration_.windows);
    const double rows =
        windows * static_cast<double>(calibration_.window_tokens);
    const double hidden = description_.hidden_size;
    forecast_.parts.push_back(
        {"one block in float32", FloatBlockBytes(description_)});
    // Running the block to its end counts as a set without statistics.
    BlockMoments running;
    running.gathering = ForwardBytes(description_, batch_rows_);
    Consider(running);
    if (worst_.second_moments > 0) {
      forecast_.parts.push_back(
          {"second moments of the inputs of a set", worst_.second_moments});
    }
    forecast_.parts.push_back(
        worst_.gathering > worst_.compressing
            ? MemoryPart{"intermediates of a batch", worst_.gathering}
            : MemoryPart{"factor of the inverse, a layer at work",
                         worst_.compressing});
    // Half of the block's layers are compressed by then, roughly.
    forecast_.parts.push_back({"finished layers of a block", writing_ / 2});
    forecast_.activation_bytes = Bytes(rows * hidden);
    if (recipe_.block_reconstruction() != nullptr) AddReconstruction();
    AddNetworkPasses();
    forecast_.batch_bytes = Bytes(static_cast<double>(batch_rows_) * hidden);
    // Sets before the last run a part of the block each; with the final pass
    // about half as many passes as there are sets.
    const double passes =
        recipe_.gathers_per_set()
            ? 0.5 * static_cast<double>(PlanBlock(description_, 0).sets.size())
            : 2.0;
    forecast_.work.product_flops +=
        passes * description_.blocks * rows *
        ForwardFlops(description_, calibration_.window_tokens);
  }

  // A second set of activations, of the original network; and a block at work
  // when its layers no longer are.
  void AddReconstruction() {
    const ReconstructionCost cost = recipe_.block_reconstruction()->Cost(
        description_, calibration_.windows, calibration_.window_tokens);
    forecast_.activation_bytes *= 2;
    const uint64_t compressing =
        SumOf(forecast_.parts) - FloatBlockBytes(description_) - writing_ / 2;
    if (cost.working_bytes > compressing) {
      forecast_.parts = {
          {"one block in float32", FloatBlockBytes(description_)},
          {"a block that is tuned", cost.working_bytes},
          {"finished layers of a block", writing_}};
    }
    forecast_.work.product_flops += description_.blocks * cost.product_flops;
  }

  // Gradients through the whole network, before the first block and after the
  // last one.
  void AddNetworkPasses() {
    const SensitivityRequest& sensitivity = recipe_.needs().sensitivity;
    const double tokens = static_cast<double>(calibration_.window_tokens);
    const double flops = description_.blocks *
                         ForwardFlops(description_, calibration_.window_tokens);
    if (sensitivity.measure != SensitivityRequest::Measure::kNone) {
      const int64_t windows =
          sensitivity.windows == 0
              ? calibration_.windows
              : std::min(sensitivity.windows, calibration_.windows);
      // Forward, forward again and back for inputs and for weights.
      forecast_.work.product_flops +=
          4 * static_cast<double>(windows) * tokens * flops;
      double weights = 0;
      for (const LinearShape& layer : ModelLinears(description_)) {
        weights +=
            static_cast<double>(layer.rows) * static_cast<double>(layer.cols);
      }
      forecast_.scratch_bytes += Bytes(weights);
      // Inputs of blocks beyond those of one window take room as it is there.
      ConsiderNetworkPass(1, 0);
    }
    if (recipe_.network_tuning() != nullptr) {
      const NetworkTuningOptions& tuning = *recipe_.network_tuning();
      const int64_t windows = tuning.batch_windows;
      forecast_.work.product_flops +=
          tokens * flops *
          (5.0 * static_cast<double>(tuning.schedule.steps) *
               static_cast<double>(windows) +
           4.0 * static_cast<double>(tuning.held_out_windows));
      forecast_.scratch_bytes += forecast_.output_bytes;
      ConsiderNetworkPass(
          std::max(windows, tuning.held_out_windows),
          FindLearnedVariable(tuning.learned.variable)->floats_per_weight);
    }
  }

  // A block with gradients of its weights, on `windows` windows, and so many
  // numbers of what all layers learn.
  void ConsiderNetworkPass(int64_t windows, double floats_per_weight) {
    double weights = 0;
    for (const LinearShape& layer : ModelLinears(description_)) {
      weights +=
          static_cast<double>(layer.rows) * static_cast<double>(layer.cols);
    }
    const double rows = static_cast<double>(calibration_.window_tokens);
    // Of one window: what a pass keeps until it is run backwards, a few times
    // what it needs at once; logits of both networks and their gradient.
    constexpr uint64_t kKept = 3;
    const uint64_t working =
        kKept * ForwardBytes(description_, calibration_.window_tokens) +
        Bytes(3 * rows * static_cast<double>(description_.vocabulary_size));
    const uint64_t inputs = Bytes(
        static_cast<double>(windows) * rows *
        static_cast<double>(description_.hidden_size) * description_.blocks);
    const std::vector<MemoryPart> parts = {
        {"one block in float32, sums and gradients of its weights",
         3 * FloatBlockBytes(description_)},
        {"what is learned of all layers", Bytes(floats_per_weight * weights)},
        {"inputs of all blocks", inputs},
        {"gradients of a window", working}};
    if (SumOf(parts) > SumOf(forecast_.parts)) forecast_.parts = parts;
  }

  const CompiledRecipe& recipe_;
  const ModelFootprint& footprint_;
  const ModelDescription& description_;
  const CalibrationShape calibration_;
  const int64_t batch_rows_;
  RunForecast forecast_;
  uint64_t layer_bytes_ = 0;
  uint64_t writing_ = 0;
  BlockMoments worst_;
};

}  // namespace

RunForecast ForecastRecipe(const CompiledRecipe& recipe,
                           const ModelFootprint& footprint,
                           const CalibrationShape& calibration) {
  CalibrationShape rolled = calibration;
  rolled.windows *= recipe.needs().window_copies;
  const CheckpointTransform* const transform = recipe.checkpoint_transform();
  if (transform == nullptr) {
    return Forecaster(recipe, footprint, rolled).Run();
  }
  const ModelFootprint transformed = transform->Footprint(footprint);
  RunForecast forecast = Forecaster(recipe, transformed, rolled).Run();
  const ModelDescription& model = footprint.description;
  const uint64_t rewritten = transform->CheckpointBytes(model);
  forecast.scratch_bytes += rewritten;
  forecast.work.moved_bytes += 2 * static_cast<double>(rewritten);
  // Writing it comes before everything else.
  const uint64_t working = transform->WorkingBytes(model);
  if (working > SumOf(forecast.parts)) {
    forecast.parts = {
        {"one layer while the checkpoint is transformed", working}};
  }
  return forecast;
}

uint64_t CompressedBlockBytes(const CompiledRecipe& recipe,
                              const ModelDescription& description) {
  uint64_t largest = 0;
  for (int k = 0; k < description.blocks; ++k) {
    uint64_t bytes = 0;
    for (const LinearPlan& layer : PlanBlock(description, k).linears) {
      bytes += CostOf(recipe.StagesOf(layer.name), layer).stored_bytes;
    }
    largest = std::max(largest, bytes);
  }
  return largest;
}

}  // namespace quantd
