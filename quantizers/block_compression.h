// BlockCompression: takes the blocks of a recipe run through the stages of
// their layers, and through their reconstruction if the recipe has one.
//
// Calibrated recipes hold one block in memory, the statistics of one set or, on
// the original network, of all; others hold one layer.
//
// Confined to one thread.
#ifndef QUANTD_QUANTIZERS_BLOCK_COMPRESSION_H_
#define QUANTD_QUANTIZERS_BLOCK_COMPRESSION_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "kernels/execution_context.h"
#include "models/model.h"
#include "quantizers/compiled_recipe.h"
#include "quantizers/finished_blocks.h"
#include "quantizers/run_flows.h"
#include "quantizers/run_progress.h"
#include "quantizers/run_statistics.h"
#include "quantizers/stage.h"
#include "quantizers/weight_sensitivity.h"
#include "tensor/tensor.h"

namespace quantd {

class BlockCompression {
 public:
  // All outlive the object. `sensitivity` is complete if a stage needs it.
  BlockCompression(const Model& model, const CompiledRecipe& recipe,
                   int64_t window_tokens, const WeightSensitivity& sensitivity,
                   RunFlows& flows, RunStatistics& statistics,
                   FinishedBlocks& finished, RunProgress& progress)
      : model_(model),
        recipe_(recipe),
        window_tokens_(window_tokens),
        sensitivity_(sensitivity),
        flows_(flows),
        statistics_(statistics),
        finished_(finished),
        progress_(progress) {}

  // Compresses block k, the next of `finished`, unless an earlier attempt did.
  absl::Status Run(int k, ExecutionContext& ctx);

 private:
  bool calibrates() const { return recipe_.needs().any(); }
  bool on_original() const { return recipe_.calibrates_on_original(); }
  bool reconstructs() const {
    return recipe_.block_reconstruction() != nullptr;
  }

  absl::Status CompressLayerByLayer(int k, ExecutionContext& ctx);
  absl::Status Compress(int k, Block& block, ExecutionContext& ctx);
  // Whether a layer of the sets [first, end) goes through a stage.
  bool CompressesAny(Block& block, int first, int end) const;
  absl::Status CompressSet(int k, Block& block, int set,
                           std::shared_ptr<const LayerStatistics> statistics,
                           FinishedBlock* finished, ExecutionContext& ctx);
  absl::Status Reconstruct(int k, Block& block,
                           const std::map<std::string, Tensor>& originals,
                           BlockRecord* record, ExecutionContext& ctx);
  absl::Status Write(int k, const std::string& name, FinishedBlock finished,
                     ExecutionContext& ctx);

  const Model& model_;
  const CompiledRecipe& recipe_;
  const int64_t window_tokens_;
  const WeightSensitivity& sensitivity_;
  RunFlows& flows_;
  RunStatistics& statistics_;
  FinishedBlocks& finished_;
  RunProgress& progress_;
  std::map<std::string, Tensor> sensitivities_;  // of the block at work
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_BLOCK_COMPRESSION_H_
