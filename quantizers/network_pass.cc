#include "quantizers/network_pass.h"

#include "base/status_macros.h"
#include "tensor/gradient_tape.h"

namespace quantd {

absl::Status NetworkPass::Forward(
    absl::Span<const absl::Span<const int32_t>> windows, Inputs keep) {
  const int blocks = model_.block_count();
  inputs_.assign(1, {});
  for (const absl::Span<const int32_t> tokens : windows) {
    ASSIGN_OR_RETURN(Tensor x, model_.Embed(tokens, OneWindow(), ctx_));
    inputs_[0].push_back(std::move(x));
  }
  for (int k = 0; k < blocks; ++k) {
    ASSIGN_OR_RETURN(const auto block, blocks_(k));
    std::vector<Tensor> outputs;
    for (const Tensor& x : inputs_.back()) {
      RETURN_IF_ERROR(ctx_.CheckCancelled());
      ASSIGN_OR_RETURN(Tensor y, block->Forward(x, OneWindow(), ctx_));
      outputs.push_back(std::move(y));
    }
    if (keep == Inputs::kDrop) inputs_.clear();
    inputs_.push_back(std::move(outputs));
    if (advanced_) advanced_();
  }
  return absl::OkStatus();
}

absl::Status NetworkPass::Backward(std::vector<Tensor> gradients,
                                   const OnWindow& on_window,
                                   const OnBlock& on_block) {
  for (int k = model_.block_count(); k-- > 0;) {
    inputs_.pop_back();
    ASSIGN_OR_RETURN(const auto block, blocks_(k));
    for (size_t w = 0; w < gradients.size(); ++w) {
      RETURN_IF_ERROR(ctx_.CheckCancelled());
      ASSIGN_OR_RETURN(gradients[w], BackThrough(k, *block, inputs_.back()[w],
                                                 gradients[w], on_window));
    }
    RETURN_IF_ERROR(on_block(k, *block));
    if (advanced_) advanced_();
  }
  return absl::OkStatus();
}

absl::StatusOr<Tensor> NetworkPass::BackThrough(int k, Block& block,
                                                const Tensor& input,
                                                const Tensor& gradient,
                                                const OnWindow& on_window) {
  GradientTape tape(ctx_);
  const Tensor x = tape.Watch(input);
  std::vector<Tensor> weights;
  for (Linear& layer : block.linears()) {
    weights.push_back(tape.Watch(layer.weight().Untracked()));
    layer.SetWeight(weights.back());
  }
  ASSIGN_OR_RETURN(const Tensor y, block.Forward(x, OneWindow(), ctx_));
  RETURN_IF_ERROR(tape.Backward({{y, gradient}}));
  std::vector<Tensor> found;
  for (size_t i = 0; i < weights.size(); ++i) {
    // Nothing refers to the tape when it is gone.
    block.linears()[i].SetWeight(weights[i].Untracked());
    found.push_back(tape.Gradient(weights[i]));
  }
  RETURN_IF_ERROR(on_window(k, block, found));
  return tape.Gradient(x);
}

}  // namespace quantd
