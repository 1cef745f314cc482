#include "quantizers/stage_pipeline.h"

#include <utility>

#include "base/status_macros.h"
#include "quantizers/layer_error.h"

namespace quantd {
namespace {

absl::Status FinishLayer(LayerWork item, Linear& layer, ExecutionContext& ctx) {
  std::shared_ptr<const CompressedLinear> compressed =
      std::move(item.compressed);
  while (!item.transforms.empty()) {
    ASSIGN_OR_RETURN(compressed, item.transforms.back()(std::move(compressed)));
    item.transforms.pop_back();
  }
  item.report->bits_per_weight = compressed->bits_per_weight();
  layer.SetCompressed(std::move(compressed), ctx);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<LayerReport>> RunStages(
    const CompiledRecipe::Stages& stages, int block,
    absl::Span<Linear* const> layers,
    std::shared_ptr<const LayerStatistics> statistics,
    const std::map<std::string, Tensor>& sensitivities, ExecutionContext& ctx) {
  std::vector<LayerReport> reports(layers.size());
  BlockWork work;
  work.block = block;
  for (size_t i = 0; i < layers.size(); ++i) {
    reports[i].layer = layers[i]->name();
    LayerWork item;
    item.name = layers[i]->name();
    item.writes_residual = layers[i]->writes_residual();
    item.weight = layers[i]->weight();
    item.statistics = statistics;
    const auto sensitivity = sensitivities.find(item.name);
    if (sensitivity != sensitivities.end()) {
      item.sensitivity = sensitivity->second;
    }
    item.report = &reports[i];
    work.layers.push_back(std::move(item));
  }
  for (const auto& stage : stages) {
    RETURN_IF_ERROR(stage->ProcessBlock(work, ctx));
  }
  // Outputs are compared where anything is known of the inputs.
  Tensor h;
  if (statistics != nullptr && statistics->tokens > 0 &&
      statistics->second_moment.n > 0) {
    h = ToFloat(statistics->second_moment);
  }
  statistics.reset();
  for (size_t i = 0; i < layers.size(); ++i) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    Linear& layer = *layers[i];
    const Tensor original = layer.weight();
    RETURN_IF_ERROR(Annotate(FinishLayer(std::move(work.layers[i]), layer, ctx),
                             "layer ", layer.name()));
    reports[i].weight_error = RelativeWeightError(original, layer.weight());
    if (h.size() > 0) {
      reports[i].output_error =
          RelativeOutputError(original, layer.weight(), h, ctx);
    }
  }
  return reports;
}

}  // namespace quantd
