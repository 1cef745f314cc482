// Takes windows of tokens through all blocks of a network and gradients back,
// with one block in memory at a time: the inputs of all blocks are kept, each
// block is run again when the gradient comes back to it.
//
// Confined to one thread; the device's threads work inside. Results do not
// depend on their number.
#ifndef QUANTD_QUANTIZERS_NETWORK_PASS_H_
#define QUANTD_QUANTIZERS_NETWORK_PASS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "models/model.h"
#include "tensor/tensor.h"

namespace quantd {

class NetworkPass {
 public:
  // Block k as it is to compute.
  using BlockSource =
      std::function<absl::StatusOr<std::unique_ptr<Block>>(int k)>;

  // `model`, which embeds tokens, outlives the pass.
  NetworkPass(const Model& model, BlockSource blocks, int64_t window_tokens,
              ExecutionContext& ctx)
      : model_(model),
        blocks_(std::move(blocks)),
        window_tokens_(window_tokens),
        ctx_(ctx) {}

  // Called after every block, forward and back.
  void set_advanced(std::function<void()> advanced) {
    advanced_ = std::move(advanced);
  }

  // Takes `windows` of window_tokens tokens through all blocks. `keep` says
  // whether gradients will be taken back.
  enum class Inputs { kKeep, kDrop };
  absl::Status Forward(absl::Span<const absl::Span<const int32_t>> windows,
                       Inputs keep);

  // After Forward(): what leaves the last block, one tensor a window.
  const std::vector<Tensor>& outputs() const { return inputs_.back(); }

  // Of one window: gradients of block.linears()[i].weight(), [rows, cols].
  using OnWindow = std::function<absl::Status(
      int k, Block& block, absl::Span<const Tensor> gradients)>;
  // When all windows came back through block k.
  using OnBlock = std::function<absl::Status(int k, Block& block)>;

  // Takes gradients of outputs() back, last block first. Uses up the inputs.
  // REQUIRES: Forward() kept them; one gradient a window.
  absl::Status Backward(std::vector<Tensor> gradients,
                        const OnWindow& on_window, const OnBlock& on_block);

 private:
  SequenceBatch OneWindow() const {
    return SequenceBatch::Uniform(1, window_tokens_);
  }
  absl::StatusOr<Tensor> BackThrough(int k, Block& block, const Tensor& input,
                                     const Tensor& gradient,
                                     const OnWindow& on_window);

  const Model& model_;
  const BlockSource blocks_;
  const int64_t window_tokens_;
  ExecutionContext& ctx_;
  std::function<void()> advanced_;
  // Of block k at [k], one tensor a window; of the head at the end.
  std::vector<std::vector<Tensor>> inputs_;
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_NETWORK_PASS_H_
