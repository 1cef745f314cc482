// Takes layers through the stages of a recipe and puts the result on them.
#ifndef QUANTD_QUANTIZERS_STAGE_PIPELINE_H_
#define QUANTD_QUANTIZERS_STAGE_PIPELINE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "models/linear.h"
#include "quantizers/compiled_recipe.h"
#include "quantizers/stage.h"

namespace quantd {

// Runs `stages` over `layers` of block `block`, which read the same input and
// are under the same rule. `statistics` may be null. Afterwards every layer
// computes with its compressed weight. `sensitivities` has those of the layers
// by name, or is empty. Returns one report a layer, errors
// measured in the layers' own basis. The statistics go when they are no longer
// needed, unless the caller keeps them.
absl::StatusOr<std::vector<LayerReport>> RunStages(
    const CompiledRecipe::Stages& stages, int block,
    absl::Span<Linear* const> layers,
    std::shared_ptr<const LayerStatistics> statistics,
    const std::map<std::string, Tensor>& sensitivities, ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGE_PIPELINE_H_
