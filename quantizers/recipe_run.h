// Runs a recipe over a checkpoint, block by block, and leaves the compressed
// checkpoint in the workspace.
//
//   <workspace>/plan.json             what is being made; a workspace of
//                                     another plan is emptied
//   <workspace>/blocks/00003.json     layer headers and reports of block 3,
//                                     written after its shard
//   <workspace>/artifact/...          the Hugging Face style directory
//
// A finished block is on disk before the next one starts. A later run in the
// same workspace takes finished blocks over, recomputes only the activations
// they produce, and makes a byte-identical artifact.
#ifndef QUANTD_QUANTIZERS_RECIPE_RUN_H_
#define QUANTD_QUANTIZERS_RECIPE_RUN_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "models/checkpoint.h"
#include "models/model_description.h"
#include "quantd/v1/recipe.pb.h"
#include "quantizers/calibration.h"
#include "quantizers/stage.h"

namespace quantd {

// Where the inputs came from, written into quantd.json.
struct Provenance {
  std::string source_name;  // "models/tiny"
  std::string source_digest;
  std::string calibration_digest;  // of the text; empty when not calibrated
  uint64_t calibration_seed = 0;
};

struct RecipeRun {
  std::shared_ptr<const Checkpoint> checkpoint;
  v1::Recipe recipe;  // completed by CompleteRecipe()
  // REQUIRES: not empty when the recipe needs calibration.
  CalibrationWindows calibration;
  Provenance provenance;
  std::string workspace;
};

struct RecipeOutcome {
  std::string artifact_directory;
  // All stored bits of the compressed layers over their weights.
  double bits_per_weight = 0;
  uint64_t compressed_weights = 0;
  std::vector<LayerReport> layers;
  int resumed_blocks = 0;
};

// Whether every stage of the recipe can process every layer it will meet.
// InvalidArgument names the field, the layer and the reason; also when the
// recipe compresses no layer at all.
absl::Status CheckRecipeFits(const v1::Recipe& recipe,
                             const ModelDescription& model);

// InvalidArgument and Unimplemented: recipe or checkpoint; ResourceExhausted:
// disk full; Cancelled: the context was.
absl::StatusOr<RecipeOutcome> RunRecipe(const RecipeRun& run,
                                        ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_RECIPE_RUN_H_
