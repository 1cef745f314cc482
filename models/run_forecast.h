// What a run over a model will need, before it runs. Filled by those who know
// the run (quantizers/recipe_forecast.h, evaluators/scoring_forecast.h) and
// fitted to the memory there is by Place().
//
// Memory means anonymous memory: pages of mapped files do not count.
#ifndef QUANTD_MODELS_RUN_FORECAST_H_
#define QUANTD_MODELS_RUN_FORECAST_H_

#include <cstdint>
#include <string>
#include <vector>

namespace quantd {

struct MemoryPart {
  std::string name;  // "one block in float32"
  uint64_t bytes = 0;
};

// Rough amounts of work, each with a speed of its own.
struct RunWork {
  double product_flops = 0;    // float32 matrix products
  double factor_flops = 0;     // float64 factorisations
  double rounded_weights = 0;  // grids fitted, weights rounded and packed
  double moved_bytes = 0;      // read, converted, written, digested
};

struct RunForecast {
  // At the worst moment, beside the activations between blocks.
  std::vector<MemoryPart> parts;
  // The activations between blocks, and those of one batch: a spilled batch
  // is read into memory while it is worked on.
  uint64_t activation_bytes = 0;
  uint64_t batch_bytes = 0;
  uint64_t output_bytes = 0;
  // On disk while it runs, beside output and activations.
  uint64_t scratch_bytes = 0;
  RunWork work;
};

// Where the activations of a run lie.
struct Placement {
  uint64_t peak_bytes = 0;   // of memory
  uint64_t least_bytes = 0;  // with all activations on disk
  uint64_t activation_memory_bytes = 0;
  uint64_t spilled_bytes = 0;
};

// As many activations in memory as `limit_bytes` allows. The run does not fit
// when peak_bytes > limit_bytes, which then is least_bytes.
Placement Place(const RunForecast& forecast, uint64_t limit_bytes);

uint64_t SumOf(const std::vector<MemoryPart>& parts);

}  // namespace quantd

#endif  // QUANTD_MODELS_RUN_FORECAST_H_
