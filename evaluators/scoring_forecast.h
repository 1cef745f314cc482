// What scoring or continuing texts will need: memory at the worst moment and
// work, from headers alone. Decides the order of scoring by it.
#ifndef QUANTD_EVALUATORS_SCORING_FORECAST_H_
#define QUANTD_EVALUATORS_SCORING_FORECAST_H_

#include <cstdint>
#include <optional>

#include "evaluators/scorer.h"
#include "models/model_footprint.h"
#include "models/run_forecast.h"

namespace quantd {

// A layer-major run keeps an output matrix of this size in float32 and
// converts a larger one tile by tile (ModelOptions::max_head_bytes).
inline constexpr uint64_t kLayerMajorHeadBytes = uint64_t{64} << 20;

// Windows of unequal lengths or numbers that are only bounded are forecast as
// if all were of the greatest length: too much rather than too little.
struct ScoringShape {
  int64_t windows = 0;
  int64_t window_tokens = 0;
  int64_t batch_windows = 0;
  // Rows of keys and values that a block keeps, where windows share their
  // beginnings.
  int64_t cached_rows = 0;
  // What the model is compared with: every window runs through it as well. Null
  // if nothing; outlives the call.
  const ModelFootprint* baseline = nullptr;
};

RunForecast ForecastScoring(const ModelFootprint& footprint,
                            const ScoringShape& shape, ScoringOrder order);

struct ScoringPlan {
  ScoringOrder order = ScoringOrder::kBatchMajor;
  RunForecast forecast;
  Placement placement;
};

// `wanted` or, without one, batch-major if that fits `limit_bytes` and else
// layer-major.
ScoringPlan PlanScoring(const ModelFootprint& footprint,
                        const ScoringShape& shape,
                        std::optional<ScoringOrder> wanted,
                        uint64_t limit_bytes);

struct GenerationShape {
  int64_t prompts = 0;
  int64_t prompt_tokens = 0;  // of each
  int64_t new_tokens = 0;
  int64_t batch_prompts = 0;
  int64_t beams = 1;
};

// Every block in memory and, for the prompts that advance together, the keys
// and values of all their tokens.
RunForecast ForecastGeneration(const ModelFootprint& footprint,
                               const GenerationShape& shape);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_SCORING_FORECAST_H_
