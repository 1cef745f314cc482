#include "evaluators/scoring_forecast.h"

#include <algorithm>

#include "models/network/output_head.h"

namespace quantd {
namespace {

uint64_t Bytes(int64_t floats) {
  return static_cast<uint64_t>(floats) * sizeof(float);
}

// Logits of `rows` rows and what they are made from.
uint64_t LogitBytes(const ModelDescription& model, int64_t rows) {
  return Bytes(rows * (int64_t{model.vocabulary_size} +
                       3 * int64_t{model.hidden_size}));
}

int64_t ScoredRows(const ModelDescription& model) {
  return std::max<int64_t>(1, kMaxScoredLogits / model.vocabulary_size);
}

uint64_t TileBytes(const ModelDescription& model) {
  const int64_t width = model.embedding.width;
  return Bytes(OutputHead::TileRows(width) * width);
}

uint64_t LoadedBlockBytes(const ModelFootprint& footprint) {
  return FloatBlockBytes(footprint.description) + footprint.compressed_bytes;
}

// Of one token through blocks and head.
double TokenFlops(const ModelDescription& model, int64_t tokens) {
  return model.blocks * ForwardFlops(model, tokens) +
         2.0 * model.vocabulary_size * model.embedding.width;
}

// Bytes read and converted once.
double LoadedBytes(const ModelFootprint& footprint) {
  return static_cast<double>(footprint.description.blocks) *
             static_cast<double>(LoadedBlockBytes(footprint)) +
         static_cast<double>(footprint.outer_bytes);
}

}  // namespace

RunForecast ForecastScoring(const ModelFootprint& footprint,
                            const ScoringShape& shape, ScoringOrder order) {
  const ModelDescription& model = footprint.description;
  const int64_t windows =
      std::clamp<int64_t>(shape.windows, 1, std::max<int64_t>(
                                                1, shape.batch_windows));
  const int64_t batch_rows = windows * shape.window_tokens;
  const int64_t scored =
      std::min(ScoredRows(model), std::max<int64_t>(1, batch_rows));
  const uint64_t forward = ForwardBytes(model, batch_rows);
  const uint64_t batch = Bytes(batch_rows * model.hidden_size);
  RunForecast forecast;
  forecast.batch_bytes = batch;
  forecast.work.product_flops =
      static_cast<double>(shape.windows) *
      static_cast<double>(shape.window_tokens) *
      TokenFlops(model, shape.window_tokens);
  forecast.work.moved_bytes = LoadedBytes(footprint);
  const uint64_t head = FloatHeadBytes(model);
  if (order == ScoringOrder::kBatchMajor) {
    const uint64_t blocks = static_cast<uint64_t>(model.blocks);
    forecast.parts = {
        {"all blocks in float32", blocks * LoadedBlockBytes(footprint)},
        {"output matrix in float32", head},
        {"activations and intermediates of a batch",
         batch + std::max(forward, LogitBytes(model, scored))}};
    return forecast;
  }
  forecast.activation_bytes =
      Bytes(shape.windows * shape.window_tokens * model.hidden_size);
  // The head comes when the last block has gone.
  const uint64_t running = LoadedBlockBytes(footprint) + forward;
  const uint64_t ending =
      LogitBytes(model, scored) +
      (head <= kLayerMajorHeadBytes ? head : TileBytes(model));
  if (running >= ending) {
    forecast.parts = {
        {"one block in float32", LoadedBlockBytes(footprint)},
        {"intermediates of a batch", forward}};
  } else {
    forecast.parts = {{"logits and a part of the output matrix", ending}};
  }
  return forecast;
}

ScoringPlan PlanScoring(const ModelFootprint& footprint,
                        const ScoringShape& shape,
                        std::optional<ScoringOrder> wanted,
                        uint64_t limit_bytes) {
  const auto plan = [&](ScoringOrder order) {
    ScoringPlan plan;
    plan.order = order;
    plan.forecast = ForecastScoring(footprint, shape, order);
    plan.placement = Place(plan.forecast, limit_bytes);
    return plan;
  };
  if (wanted.has_value()) return plan(*wanted);
  ScoringPlan batch_major = plan(ScoringOrder::kBatchMajor);
  if (batch_major.placement.peak_bytes <= limit_bytes) return batch_major;
  return plan(ScoringOrder::kLayerMajor);
}

RunForecast ForecastGeneration(const ModelFootprint& footprint,
                               const GenerationShape& shape) {
  const ModelDescription& model = footprint.description;
  const AttentionDescription& attention = model.block.attention;
  // Beam search takes one prompt at a time.
  const int64_t sequences = shape.beams > 1 ? shape.beams : shape.batch_prompts;
  const int64_t tokens = shape.prompt_tokens + shape.new_tokens;
  const int64_t key_floats =
      2 * int64_t{attention.kv_heads} * attention.head_dim;
  const int64_t prompt_rows =
      (shape.beams > 1 ? 1 : shape.batch_prompts) * shape.prompt_tokens;
  RunForecast forecast;
  forecast.parts = {
      {"all blocks in float32", static_cast<uint64_t>(model.blocks) *
                                    LoadedBlockBytes(footprint)},
      {"output matrix in float32", FloatHeadBytes(model)},
      {"keys and values", Bytes(model.blocks * sequences * tokens * key_floats)},
      {"activations and intermediates of a batch",
       Bytes(prompt_rows * model.hidden_size) +
           std::max(ForwardBytes(model, prompt_rows),
                    LogitBytes(model, sequences))}};
  forecast.work.product_flops =
      static_cast<double>(shape.prompts) *
      (static_cast<double>(shape.prompt_tokens) +
       static_cast<double>(shape.new_tokens * shape.beams)) *
      TokenFlops(model, tokens);
  forecast.work.moved_bytes = LoadedBytes(footprint);
  return forecast;
}

}  // namespace quantd
