// A network as a sequence of Blocks with named linear layers. Blocks load
// their weights when asked for and are dropped when done with, so that a model
// larger than memory can be worked on block by block.
//
//   ASSIGN_OR_RETURN(auto model, Model::Open(checkpoint));
//   const auto batch = SequenceBatch::Uniform(8, 512);
//   ASSIGN_OR_RETURN(Tensor hidden, model->Embed(tokens, batch, ctx));
//   for (int k = 0; k < model->block_count(); ++k) {
//     ASSIGN_OR_RETURN(auto block, model->LoadBlock(k, ctx));
//     ASSIGN_OR_RETURN(hidden, block->Forward(hidden, batch, ctx));
//   }
//   ASSIGN_OR_RETURN(Tensor logits, model->Logits(hidden, ctx));
//
// Model is immutable and thread-safe; a Block is confined to one thread, and
// its model must outlive it.
#ifndef QUANTD_MODELS_MODEL_H_
#define QUANTD_MODELS_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "models/checkpoint.h"
#include "models/linear.h"
#include "models/model_description.h"
#include "nlohmann/json_fwd.hpp"
#include "tensor/sequence_batch.h"
#include "tensor/tensor.h"

namespace quantd {

// Sees the inputs of a block's linear layers while it runs.
class LinearTap {
 public:
  virtual ~LinearTap() = default;

  // `input` [n, in] is about to enter all linear layers of set `set`
  // (Block::linear_sets()). Return false to stop the block here: Forward()
  // then returns an empty tensor.
  virtual bool OnInput(int set, const Tensor& input) = 0;

  // Whether OnAttention() is to be called, which costs a little.
  virtual bool wants_attention() const { return false; }

  // `received` [n]: the attention that each token of the batch gets, summed
  // over queries and heads. Called before the input of the layer behind
  // attention; only by blocks whose mixer is attention, and not in passes with
  // a state.
  virtual void OnAttention(const Tensor& /*received*/) {}
};

// What a block keeps of the sequences it has seen, so that they can be
// continued token by token: keys and values, or recurrent states.
class BlockState {
 public:
  virtual ~BlockState() = default;

  // Sequence i becomes what sequence sources[i] is: reorders, drops and
  // doubles sequences. REQUIRES: sources are sequences of the state.
  virtual void Select(absl::Span<const int> sources) = 0;

  virtual size_t bytes() const = 0;
};

class Block {
 public:
  virtual ~Block() = default;

  // "model.layers.3".
  virtual const std::string& name() const = 0;

  // The linear layers, in the order of their computation.
  virtual absl::Span<Linear> linears() = 0;

  // Indices into linears(): layers of one set read the same input, sets are in
  // order of computation ({q,k,v}, {o}, {gate,up}, {down}).
  virtual const std::vector<std::vector<int>>& linear_sets() const = 0;

  // hidden [batch.rows(), hidden] -> same shape. With a state, sequences go on
  // where its earlier passes ended, and it is advanced; without one they must
  // have no past. `tap` and `state` may be null. Cancelled when the context is.
  virtual absl::StatusOr<Tensor> Forward(const Tensor& hidden,
                                         const SequenceBatch& batch,
                                         ExecutionContext& ctx, LinearTap* tap,
                                         BlockState* state) = 0;
  absl::StatusOr<Tensor> Forward(const Tensor& hidden,
                                 const SequenceBatch& batch,
                                 ExecutionContext& ctx) {
    return Forward(hidden, batch, ctx, nullptr, nullptr);
  }

  // A state that no sequence has passed through yet. Only for this block.
  virtual std::unique_ptr<BlockState> NewState() const = 0;

  // Names of the block's tensors in the checkpoint that belong to no linear
  // weight: norms, biases. They are copied into a compressed checkpoint as
  // they are.
  virtual std::vector<std::string> OtherTensors() const = 0;

  // Gains and shifts of the block's norms, those inside attention too, and
  // biases of its linear layers; names are those of tensors. A gain is the
  // whole factor, also where the checkpoint stores it less one. They live as
  // long as the block.
  virtual std::vector<NamedParameter> SmallParameters() = 0;
};

struct ModelOptions {
  // The output matrix is kept in float32 up to this many bytes; a larger one
  // is converted from the checkpoint in every call of Logits(). Results are
  // the same.
  uint64_t max_head_bytes = UINT64_MAX;
};

class Model {
 public:
  virtual ~Model() = default;

  // Any error of DescribeModel().
  static absl::StatusOr<std::unique_ptr<Model>> Open(
      std::shared_ptr<const Checkpoint> checkpoint,
      const ModelOptions& options = {});
  // The same for a checkpoint that was described already.
  static std::unique_ptr<Model> OpenDescribed(
      std::shared_ptr<const Checkpoint> checkpoint,
      ModelDescription description, const ModelOptions& options = {});

  virtual const ModelDescription& description() const = 0;
  virtual const Checkpoint& checkpoint() const = 0;
  int block_count() const { return description().blocks; }

  // Reads block k's weights, float or compressed.
  virtual absl::StatusOr<std::unique_ptr<Block>> LoadBlock(
      int k, ExecutionContext& ctx) const = 0;

  // What enters the first block: [batch.rows(), hidden]. OutOfRange names an
  // id that is not in the vocabulary, or a position beyond the learned ones.
  // REQUIRES: one token a row.
  virtual absl::StatusOr<Tensor> Embed(absl::Span<const int32_t> tokens,
                                       const SequenceBatch& batch,
                                       ExecutionContext& ctx) const = 0;

  // Final norm and head: hidden [n, hidden] -> [n, vocabulary]. The head is
  // read on the first call and kept (ModelOptions).
  virtual absl::StatusOr<Tensor> Logits(const Tensor& hidden,
                                        ExecutionContext& ctx) const = 0;

  // The same logits, bit for bit, tile by tile of the vocabulary: `tile` is
  // given [n, count] of the tokens from `begin` on, in order, count at most
  // LogitTileTokens(description()). Its first error ends the call.
  virtual absl::Status ForLogitTiles(
      const Tensor& hidden,
      absl::FunctionRef<absl::Status(int64_t begin, const Tensor& logits)> tile,
      ExecutionContext& ctx) const = 0;

  // Tensors outside the blocks: embedding, final norm, head.
  virtual std::vector<std::string> OtherTensors() const = 0;
};

// Tokens of the vocabulary whose logits are made together.
int64_t LogitTileTokens(const ModelDescription& description);

// The linear layers of all blocks that recipes may compress, in block order and
// order of computation; no weight is read.
std::vector<LinearShape> ModelLinears(const ModelDescription& description);

// The key of config.json's quantization_config under which a compressed
// checkpoint lists its layers: {"<layer>": header of CompressedLinear::Save}.
inline constexpr char kLayerHeadersKey[] = "layers";
// The value of quantization_config.quant_method.
inline constexpr char kQuantMethod[] = "quantd";

// The header of `layer` in a compressed checkpoint, or null when the layer is
// stored in floating point. InvalidArgument when quantization_config is that
// of another tool or malformed.
absl::StatusOr<const nlohmann::json*> CompressedLayerHeader(
    const Checkpoint& checkpoint, absl::string_view layer);

}  // namespace quantd

#endif  // QUANTD_MODELS_MODEL_H_
