#include "quantizers/block_compression.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/compressed_linear.h"
#include "models/linear.h"
#include "models/network/block_plan.h"
#include "models/network/tensor_loader.h"
#include "quantizers/block_reconstruction.h"
#include "quantizers/layer_error.h"
#include "quantizers/stage_pipeline.h"
#include "quantizers/tuning_steps.h"

namespace quantd {

absl::Status BlockCompression::Run(int k, ExecutionContext& ctx) {
  RETURN_IF_ERROR(ctx.CheckCancelled());
  if (finished_.TakeOver(k, ctx)) return absl::OkStatus();
  if (!calibrates()) return CompressLayerByLayer(k, ctx);
  progress_.Block("load", k, "");
  ASSIGN_OR_RETURN(const std::unique_ptr<Block> block,
                   model_.LoadBlock(k, ctx));
  RETURN_IF_ERROR(Compress(k, *block, ctx));
  // What the block passes on, while it is in memory. On the original network
  // it is loaded again when it is needed, which may be never.
  if (on_original() || flows_.flow().position() != k ||
      k + 1 == model_.block_count()) {
    return absl::OkStatus();
  }
  return flows_.flow().Pass(*block, ctx);
}

// Without calibration no layer needs another: one at a time is in memory.
absl::Status BlockCompression::CompressLayerByLayer(int k,
                                                    ExecutionContext& ctx) {
  const BlockPlan plan = PlanBlock(model_.description(), k);
  FinishedBlock finished;
  finished.copied = StoredNamesOfOthers(model_.checkpoint(), plan);
  for (size_t i = 0; i < plan.linears.size(); ++i) {
    const LinearPlan& linear = plan.linears[i];
    if (recipe_.StagesOf(linear.name).empty()) {
      finished.copied.push_back(linear.name + ".weight");
      continue;
    }
    progress_.Block(
        "quantize", k, linear.name,
        static_cast<double>(i) / static_cast<double>(plan.linears.size()));
    ASSIGN_OR_RETURN(Linear layer,
                     LoadLinear(model_.checkpoint(), linear, ctx));
    ASSIGN_OR_RETURN(auto reports, RunStages(recipe_.StagesOf(linear.name), k,
                                             {&layer}, nullptr, {}, ctx));
    finished.Keep(std::move(reports));
    finished.Collect(layer);
  }
  return Write(k, plan.name, std::move(finished), ctx);
}

absl::Status BlockCompression::Compress(int k, Block& block,
                                        ExecutionContext& ctx) {
  std::map<std::string, Tensor> originals;
  if (reconstructs()) {
    RETURN_IF_ERROR(flows_.AdvanceBoth(k, block, ctx));
    for (const Linear& layer : block.linears()) {
      if (recipe_.StagesOf(layer.name()).empty()) continue;
      originals[layer.name()] = layer.weight();
    }
  }
  sensitivities_.clear();
  if (recipe_.needs().sensitivity.measure !=
      SensitivityRequest::Measure::kNone) {
    ASSIGN_OR_RETURN(sensitivities_, sensitivity_.Read(k));
  }
  const int sets = static_cast<int>(block.linear_sets().size());
  // On the original network all sets come before the first is compressed.
  const int step = recipe_.gathers_per_set() ? 1 : sets;
  FinishedBlock finished;
  finished.copied = block.OtherTensors();
  statistics_.Begin();
  // Later the block is no longer in float weights.
  if (step < sets) {
    RETURN_IF_ERROR(statistics_.WeighTokens(k, block, ctx));
  }
  for (int first = 0; first < sets; first += step) {
    if (!CompressesAny(block, first, first + step)) continue;
    progress_.Compress("calibrate", k, block.name(),
                       static_cast<double>(first) / sets);
    // Each set's statistics go as soon as it is done: they can be larger
    // than the block.
    const bool untouched =
        on_original() || (finished_.total().headers.empty() && first == 0);
    ASSIGN_OR_RETURN(
        auto statistics,
        statistics_.Of(k, block, first, first + step - 1, untouched, ctx));
    for (int set = first; set < first + step; ++set) {
      auto own = std::make_shared<const LayerStatistics>(
          std::move(statistics.at(set)));
      statistics.erase(set);
      RETURN_IF_ERROR(
          CompressSet(k, block, set, std::move(own), &finished, ctx));
    }
  }
  if (reconstructs()) {
    RETURN_IF_ERROR(Reconstruct(k, block, originals, &finished.record, ctx));
  }
  for (const Linear& layer : block.linears()) finished.Collect(layer);
  return Write(k, block.name(), std::move(finished), ctx);
}

bool BlockCompression::CompressesAny(Block& block, int first, int end) const {
  for (int set = first; set < end; ++set) {
    for (int index : block.linear_sets()[static_cast<size_t>(set)]) {
      const Linear& layer = block.linears()[static_cast<size_t>(index)];
      if (!recipe_.StagesOf(layer.name()).empty()) return true;
    }
  }
  return false;
}

// Neighbours under the same rule go through their stages together, which
// lets a stage make what they share once.
absl::Status BlockCompression::CompressSet(
    int k, Block& block, int set,
    std::shared_ptr<const LayerStatistics> statistics, FinishedBlock* finished,
    ExecutionContext& ctx) {
  const std::vector<int>& indices =
      block.linear_sets()[static_cast<size_t>(set)];
  size_t i = 0;
  while (i < indices.size()) {
    std::vector<Linear*> layers;
    const CompiledRecipe::Stages* stages = nullptr;
    for (; i < indices.size(); ++i) {
      Linear& layer = block.linears()[static_cast<size_t>(indices[i])];
      const CompiledRecipe::Stages& own = recipe_.StagesOf(layer.name());
      if (stages != nullptr && stages != &own) break;
      stages = &own;
      layers.push_back(&layer);
    }
    if (stages->empty()) continue;
    progress_.Compress(
        "quantize", k, layers[0]->name(),
        (set + 0.5) / static_cast<double>(block.linear_sets().size()));
    ASSIGN_OR_RETURN(auto reports, RunStages(*stages, k, layers, statistics,
                                             sensitivities_, ctx));
    finished->Keep(std::move(reports));
  }
  return absl::OkStatus();
}

absl::Status BlockCompression::Reconstruct(
    int k, Block& block, const std::map<std::string, Tensor>& originals,
    BlockRecord* record, ExecutionContext& ctx) {
  if (originals.empty()) return absl::OkStatus();
  BlockToReconstruct task;
  task.block = &block;
  task.index = k;
  task.originals = &originals;
  task.inputs = &flows_.flow().hidden();
  task.targets = &flows_.original_outputs();
  task.original_inputs = flows_.original_inputs();
  task.window_tokens = window_tokens_;
  ASSIGN_OR_RETURN(BlockReport report,
                   recipe_.block_reconstruction()->Reconstruct(
                       task,
                       [&](const TuningStep& made, int64_t steps) {
                         progress_.Tune(k, block.name(), made, steps);
                       },
                       ctx));
  ctx.ReportNote(
      absl::StrCat(report.block, ": output error ", report.loss_before,
                   " before tuning, ", report.loss_after, " after",
                   report.kept ? "" : "; the block stays as it was"));
  if (report.kept) {
    for (LayerReport& layer : record->reports) {
      for (const Linear& tuned : block.linears()) {
        if (tuned.name() != layer.layer) continue;
        layer.bits_per_weight = tuned.compressed()->bits_per_weight();
        layer.weight_error =
            RelativeWeightError(originals.at(layer.layer), tuned.weight());
        // The statistics are gone.
        layer.output_error = -1;
      }
    }
  }
  record->reconstruction = std::move(report);
  return absl::OkStatus();
}

absl::Status BlockCompression::Write(int k, const std::string& name,
                                     FinishedBlock finished,
                                     ExecutionContext& ctx) {
  progress_.Block("write", k, name, 1.0);
  return finished_.Write(k, std::move(finished), ctx);
}

}  // namespace quantd
