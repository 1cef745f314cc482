// Runs a recipe over a checkpoint, block by block, and leaves the compressed
// checkpoint in the workspace.
//
//   <workspace>/plan.json             what is being made; a workspace of
//                                     another plan is emptied
//   <workspace>/blocks/survey-00000.json  what a stage found by looking at all
//                                     layers before the first block
//   <workspace>/sensitivity/...       of single weights (weight_sensitivity.h)
//   <workspace>/blocks/00003.json     layer headers and reports of block 3,
//                                     written after its shard
//   <workspace>/transformed/...       the checkpoint that a stage made of the
//                                     source, when one does; ".complete" beside
//                                     it when it is finished
//   <workspace>/untuned/...           what the blocks' pass leaves to a stage
//                                     that tunes the network; otherwise it goes
//                                     into artifact/ at once
//   <workspace>/artifact/...          the Hugging Face style directory
//
// Calibrated recipes hold one block in float32 and the activations of all
// windows, in memory up to a limit; others hold one layer at a time.
//
// Statistics of the original network are shared with other recipes on the same
// model and text (statistics_store.h); where all are found, no calibration
// window runs through the network at all.
//
// A finished block is on disk before the next one starts. A later run in the
// same workspace takes finished blocks over, recomputes only the activations
// they produce, and makes a byte-identical artifact.
#ifndef QUANTD_QUANTIZERS_RECIPE_RUN_H_
#define QUANTD_QUANTIZERS_RECIPE_RUN_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "models/model.h"
#include "quantizers/calibration.h"
#include "quantizers/compiled_recipe.h"
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
  std::shared_ptr<const Model> model;
  std::shared_ptr<const CompiledRecipe> recipe;
  // REQUIRES: not empty when the recipe needs calibration.
  CalibrationWindows calibration;
  Provenance provenance;
  std::string workspace;
  // Calibration activations beyond this many bytes lie in the workspace.
  uint64_t activation_memory_bytes = UINT64_MAX;
  // Where statistics that other recipes can use are kept, and how many bytes of
  // them (statistics_store.h); empty: nowhere.
  std::string statistics_directory;
  uint64_t statistics_bytes = 0;
};

struct RecipeOutcome {
  std::string artifact_directory;
  // All stored bits of the compressed layers over their weights.
  double bits_per_weight = 0;
  uint64_t compressed_weights = 0;
  std::vector<LayerReport> layers;
  // Of recipes that reconstruct blocks, and of those that tune the network.
  std::vector<BlockReport> blocks;
  std::optional<NetworkTuningOutcome> tuning;
  int resumed_blocks = 0;
  uint64_t spilled_bytes = 0;  // of the activations
  // Sets whose statistics an earlier run had gathered.
  int reused_statistics = 0;
};

// InvalidArgument and Unimplemented: the recipe does not fit the model, or the
// checkpoint is broken; ResourceExhausted:
// disk full; Cancelled: the context was.
absl::StatusOr<RecipeOutcome> RunRecipe(const RecipeRun& run,
                                        ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_RECIPE_RUN_H_
