// What an artifact says of itself: quantization_config in its config.json, by
// which it is read (models/compressed_linear.h), and quantd.json, by which it
// can be made again.
//
// Free functions, thread-safe.
#ifndef QUANTD_QUANTIZERS_ARTIFACT_SUMMARY_H_
#define QUANTD_QUANTIZERS_ARTIFACT_SUMMARY_H_

#include "absl/status/status.h"
#include "kernels/execution_context.h"
#include "nlohmann/json_fwd.hpp"
#include "quantd/v1/recipe.pb.h"
#include "quantizers/recipe_run.h"
#include "quantizers/run_workspace.h"

namespace quantd {

inline constexpr char kArtifactFormat[] = "quantd-artifact.v1";

// `total` is the record of all blocks.
nlohmann::json QuantizationConfig(const v1::Recipe& recipe,
                                  const BlockRecord& total);

// Writes quantd.json into the artifact's folder. No times or host names, so
// that equal requests give equal bytes. `surveys` has one object a stage that
// looked at all layers.
absl::Status WriteArtifactSummary(const RecipeRun& run,
                                  const RecipeOutcome& outcome,
                                  const nlohmann::json& surveys,
                                  const ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_ARTIFACT_SUMMARY_H_
