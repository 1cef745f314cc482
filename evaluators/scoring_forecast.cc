#include "evaluators/scoring_forecast.h"

#include <algorithm>

#include "evaluators/divergence.h"

namespace quantd {
namespace {

uint64_t Bytes(int64_t floats) {
  return static_cast<uint64_t>(floats) * sizeof(float);
}

// Logits of `rows` rows and what they are made from.
uint64_t LogitBytes(const ModelDescription& model, int64_t rows) {
  return Bytes(
      rows * (int64_t{model.vocabulary_size} + 3 * int64_t{model.hidden_size}));
}

// The same where at most `rows` are scored, `logits` of each at a time, as many
// as may be held.
uint64_t ScoredLogitBytes(const ModelDescription& model, int64_t rows,
                          int64_t logits) {
  return Bytes(std::min(rows, ScoredRowsAtOnce(logits)) *
               (logits + 3 * int64_t{model.hidden_size}));
}

uint64_t TileBytes(const ModelDescription& model) {
  return Bytes(LogitTileTokens(model) * int64_t{model.embedding.width});
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
  const int64_t windows = std::clamp<int64_t>(
      shape.windows, 1, std::max<int64_t>(1, shape.batch_windows));
  const int64_t batch_rows = windows * shape.window_tokens;
  const int64_t all_rows = shape.windows * shape.window_tokens;
  // A portion has a batch and the trunks that it continues at least.
  const int64_t portion_rows = std::min(
      all_rows, std::max(kPortionRows, batch_rows + shape.window_tokens));
  const int64_t loads =
      order == ScoringOrder::kLayerMajor
          ? (all_rows + portion_rows - 1) / std::max<int64_t>(1, portion_rows)
          : 1;
  RunForecast forecast;
  // Blocks and intermediates of one model after the other; what stays, of both.
  uint64_t all_blocks = 0, block = 0, forward = 0, running = 0;
  uint64_t heads = 0, kept_heads = 0, logits = 0;
  for (const ModelFootprint* each : {&footprint, shape.baseline}) {
    if (each == nullptr) continue;
    const ModelDescription& model = each->description;
    const uint64_t own_block = LoadedBlockBytes(*each);
    const AttentionDescription& attention = model.block.attention;
    const uint64_t own_forward =
        ForwardBytes(model, batch_rows) +
        Bytes(shape.cached_rows * 2 * attention.kv_heads * attention.head_dim);
    const uint64_t head = FloatHeadBytes(model);
    all_blocks += static_cast<uint64_t>(model.blocks) * own_block;
    if (own_block + own_forward > running) {
      running = own_block + own_forward;
      block = own_block;
    }
    forward = std::max(forward, own_forward);
    heads += head;
    kept_heads += head <= kLayerMajorHeadBytes ? head : TileBytes(model);
    logits += ScoredLogitBytes(model, std::max<int64_t>(1, batch_rows),
                               shape.baseline == nullptr
                                   ? LogitTileTokens(model)
                                   : int64_t{model.vocabulary_size});
    forecast.batch_bytes += Bytes(batch_rows * model.hidden_size);
    if (order == ScoringOrder::kLayerMajor) {
      forecast.activation_bytes += Bytes(portion_rows * model.hidden_size);
    }
    forecast.work.product_flops +=
        static_cast<double>(all_rows) * TokenFlops(model, shape.window_tokens);
    forecast.work.moved_bytes +=
        static_cast<double>(loads) * LoadedBytes(*each);
  }
  if (order == ScoringOrder::kBatchMajor) {
    forecast.parts = {{"all blocks in float32", all_blocks},
                      {"output matrix in float32", heads},
                      {"activations and intermediates of a batch",
                       forecast.batch_bytes + std::max(forward, logits)}};
  } else if (running >= logits + kept_heads) {
    // The heads come when the last block has gone.
    forecast.parts = {{"one block in float32", block},
                      {"intermediates of a batch", running - block}};
  } else {
    forecast.parts = {
        {"logits and a part of the output matrix", logits + kept_heads}};
  }
  // What compares keeps its windows as well, to show tokens in their context.
  const int64_t copies = shape.baseline != nullptr ? 2 : 1;
  forecast.parts.push_back(
      {"token ids of all windows",
       static_cast<uint64_t>(copies * all_rows) * sizeof(int32_t)});
  if (shape.baseline != nullptr) {
    forecast.parts.push_back(
        {"divergences of all tokens",
         static_cast<uint64_t>(all_rows * kDivergenceBytesPerToken)});
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
      {"all blocks in float32",
       static_cast<uint64_t>(model.blocks) * LoadedBlockBytes(footprint)},
      {"output matrix in float32", FloatHeadBytes(model)},
      {"keys and values",
       Bytes(model.blocks * sequences * tokens * key_floats)},
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
