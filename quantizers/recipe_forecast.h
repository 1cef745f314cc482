// What a recipe run will need: memory at its worst moment, output, work. From
// headers alone; the run itself (recipe_run.cc) is what it has to agree with.
#ifndef QUANTD_QUANTIZERS_RECIPE_FORECAST_H_
#define QUANTD_QUANTIZERS_RECIPE_FORECAST_H_

#include <cstdint>

#include "models/model_footprint.h"
#include "models/run_forecast.h"
#include "quantizers/compiled_recipe.h"

namespace quantd {

struct CalibrationShape {
  int64_t windows = 0;
  int64_t window_tokens = 0;
};

// REQUIRES: recipe.CheckFits(footprint.description) was OK. `calibration` is
// ignored when the recipe needs none.
RunForecast ForecastRecipe(const CompiledRecipe& recipe,
                           const ModelFootprint& footprint,
                           const CalibrationShape& calibration);

// Bytes of the compressed layers of the largest block of the result: what
// scoring it holds beside the decoded weights.
uint64_t CompressedBlockBytes(const CompiledRecipe& recipe,
                              const ModelDescription& description);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_RECIPE_FORECAST_H_
