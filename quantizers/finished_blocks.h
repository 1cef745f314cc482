// FinishedBlocks: the blocks that a recipe run is done with, each a shard and a
// record on disk (run_workspace.h), and what they are together.
//
//   FinishedBlocks blocks(model, workspace, directory);
//   if (blocks.TakeOver(k, ctx)) continue;       // an earlier attempt made it
//   FinishedBlock block;
//   ... block.Keep(reports), block.Collect(layer) ...
//   RETURN_IF_ERROR(blocks.Write(k, std::move(block), ctx));
//
// Confined to one thread.
#ifndef QUANTD_QUANTIZERS_FINISHED_BLOCKS_H_
#define QUANTD_QUANTIZERS_FINISHED_BLOCKS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "kernels/execution_context.h"
#include "models/checkpoint_writer.h"
#include "models/linear.h"
#include "models/model.h"
#include "models/safetensors.h"
#include "quantizers/run_workspace.h"
#include "quantizers/stage.h"

namespace quantd {

// What a block's shard is made of.
struct FinishedBlock {
  BlockRecord record;
  std::vector<TensorToWrite> tensors;
  std::vector<std::string> copied;  // as the source has them

  void Keep(std::vector<LayerReport> reports);
  // The layer as it is stored: compressed, or as the source has it.
  void Collect(const Linear& layer);
};

class FinishedBlocks {
 public:
  // Shards go into `directory`. `model` and `workspace` outlive the object.
  FinishedBlocks(const Model& model, const RunWorkspace& workspace,
                 std::string directory)
      : model_(model),
        workspace_(workspace),
        writer_(std::move(directory), model.checkpoint(),
                model.block_count() + 1) {}

  // Whether an earlier attempt finished block k. If so it counts as written.
  bool TakeOver(int k, ExecutionContext& ctx);

  // Writes block k, the shard first.
  absl::Status Write(int k, FinishedBlock block, ExecutionContext& ctx);

  // Puts the compressed layers of finished block k on `block`.
  absl::Status LoadCompressed(int k, Block& block, ExecutionContext& ctx) const;

  // Writes the model's other shard and its configuration.
  const CheckpointWriter& writer() const { return writer_; }

  // Of all blocks so far; a later step of the run may change what it says of
  // layers.
  const BlockRecord& total() const { return total_; }
  BlockRecord& total() { return total_; }
  const std::vector<BlockReport>& reconstructions() const {
    return reconstructions_;
  }
  int taken_over() const { return taken_over_; }

 private:
  void Append(BlockRecord record);

  const Model& model_;
  const RunWorkspace& workspace_;
  const CheckpointWriter writer_;
  BlockRecord total_;
  std::vector<BlockReport> reconstructions_;
  int taken_over_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_FINISHED_BLOCKS_H_
