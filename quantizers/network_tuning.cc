#include "quantizers/network_tuning.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "quantizers/network_pass.h"
#include "quantizers/window_order.h"
#include "tensor/gradient_tape.h"
#include "tensor/ops.h"

namespace quantd {

absl::Status NetworkTuning::Prepare() {
  for (int k = 0; k < student_.block_count(); ++k) {
    RETURN_IF_ERROR(ctx_.CheckCancelled());
    ASSIGN_OR_RETURN(const auto block, student_.LoadBlock(k, ctx_));
    BlockParameters own;
    for (const Linear& layer : block->linears()) {
      const auto tunable = layer.compressed() == nullptr
                               ? nullptr
                               : layer.compressed()->Tunable();
      own.push_back(tunable == nullptr ? std::vector<Tensor>()
                                       : tunable->Parameters());
    }
    parameters_.push_back(std::move(own));
  }
  for (const BlockParameters& block : parameters_) {
    BlockParameters copy;
    for (const std::vector<Tensor>& layer : block) {
      std::vector<Tensor> values;
      for (const Tensor& t : layer) values.push_back(t.Clone());
      copy.push_back(std::move(values));
    }
    start_.push_back(std::move(copy));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Block>> NetworkTuning::StudentBlock(int k) {
  ASSIGN_OR_RETURN(auto block, student_.LoadBlock(k, ctx_));
  const BlockParameters& own = parameters_[static_cast<size_t>(k)];
  tunables_.clear();
  for (size_t i = 0; i < own.size(); ++i) {
    tunables_.emplace_back();
    if (own[i].empty()) continue;
    Linear& layer = block->linears()[i];
    tunables_.back() = layer.compressed()->Tunable();
    layer.SetWeight(tunables_.back()->Weight(own[i], ctx_));
  }
  return block;
}

absl::StatusOr<NetworkTuning::BlockParameters>
NetworkTuning::ParameterGradients(int k, absl::Span<const Tensor> weights) {
  BlockParameters gradients;
  const BlockParameters& own = parameters_[static_cast<size_t>(k)];
  for (size_t i = 0; i < own.size(); ++i) {
    gradients.emplace_back();
    if (own[i].empty()) continue;
    GradientTape tape(ctx_);
    std::vector<Tensor> watched;
    for (const Tensor& p : own[i]) watched.push_back(tape.Watch(p));
    const Tensor weight = tunables_[i]->Weight(watched, ctx_);
    RETURN_IF_ERROR(tape.Backward({{weight, weights[i]}}));
    for (const Tensor& leaf : watched) {
      gradients.back().push_back(tape.Gradient(leaf).Clone());
    }
  }
  return gradients;
}

absl::StatusOr<std::unique_ptr<Block>> NetworkTuning::FinishedBlock(int k) {
  ASSIGN_OR_RETURN(auto block, student_.LoadBlock(k, ctx_));
  const BlockParameters& own = parameters_[static_cast<size_t>(k)];
  for (size_t i = 0; i < own.size(); ++i) {
    if (own[i].empty()) continue;
    Linear& layer = block->linears()[i];
    ASSIGN_OR_RETURN(
        auto frozen,
        Annotate(layer.compressed()->Tunable()->Freeze(own[i], ctx_), "layer ",
                 layer.name()));
    layer.SetCompressed(std::move(frozen), ctx_);
  }
  return block;
}

absl::StatusOr<std::vector<Tensor>> NetworkTuning::TeacherOutputs(
    const std::vector<absl::Span<const int32_t>>& tokens) {
  NetworkPass pass(
      teacher_, [&](int k) { return teacher_.LoadBlock(k, ctx_); },
      windows_.window_tokens, ctx_);
  RETURN_IF_ERROR(pass.Forward(tokens, NetworkPass::Inputs::kDrop));
  return pass.outputs();
}

absl::StatusOr<double> NetworkTuning::Step(const std::vector<int64_t>& windows,
                                           double rate) {
  std::vector<absl::Span<const int32_t>> tokens;
  for (int64_t w : windows) tokens.push_back(windows_.Window(w));
  ASSIGN_OR_RETURN(const std::vector<Tensor> taught, TeacherOutputs(tokens));
  NetworkPass pass(
      student_, [&](int k) { return StudentBlock(k); }, windows_.window_tokens,
      ctx_);
  RETURN_IF_ERROR(pass.Forward(tokens, NetworkPass::Inputs::kKeep));
  const double temperature = options_.temperature;
  const double rows = static_cast<double>(windows_.window_tokens) *
                      static_cast<double>(windows.size());
  double loss = 0;
  std::vector<Tensor> behind;
  for (size_t w = 0; w < tokens.size(); ++w) {
    RETURN_IF_ERROR(ctx_.CheckCancelled());
    ASSIGN_OR_RETURN(const Tensor teacher, teacher_.Logits(taught[w], ctx_));
    GradientTape tape(ctx_);
    const Tensor leaf = tape.Watch(pass.outputs()[w]);
    ASSIGN_OR_RETURN(const Tensor student, student_.Logits(leaf, ctx_));
    const Tensor kl = ops::KlDivergence(teacher, student,
                                        static_cast<float>(temperature), ctx_);
    const double weight = temperature * temperature / rows;
    for (float v : kl.values()) loss += weight * v;
    Tensor seed = Tensor::Uninitialized(kl.shape());
    std::fill(seed.values().begin(), seed.values().end(),
              static_cast<float>(weight));
    RETURN_IF_ERROR(tape.Backward({{kl, std::move(seed)}}));
    behind.push_back(tape.Gradient(leaf));
  }
  std::vector<BlockParameters> gradients(parameters_.size());
  std::vector<Tensor> sums;  // of the weights of the block at work
  RETURN_IF_ERROR(pass.Backward(
      std::move(behind),
      [&](int, Block&, absl::Span<const Tensor> found) {
        for (size_t i = 0; i < found.size(); ++i) {
          if (i == sums.size()) {
            sums.push_back(found[i].Clone());
          } else {
            ctx_.device().Add(found[i].data(), found[i].size(), sums[i].data());
          }
        }
        return absl::OkStatus();
      },
      [&](int k, Block&) -> absl::Status {
        ASSIGN_OR_RETURN(gradients[static_cast<size_t>(k)],
                         ParameterGradients(k, sums));
        sums.clear();
        return absl::OkStatus();
      }));
  std::vector<Tensor> flat, values;
  for (size_t k = 0; k < parameters_.size(); ++k) {
    for (size_t i = 0; i < parameters_[k].size(); ++i) {
      for (size_t p = 0; p < parameters_[k][i].size(); ++p) {
        flat.push_back(gradients[k][i][p]);
        values.push_back(parameters_[k][i][p]);
      }
    }
  }
  if (options_.gradient_limit > 0) {
    ClipByGlobalNorm(options_.gradient_limit, absl::MakeSpan(flat));
  }
  // Tensors share their storage with parameters_.
  optimizer_->Step(rate, flat, absl::MakeSpan(values));
  return loss;
}

absl::StatusOr<double> NetworkTuning::Divergence(
    const std::vector<absl::Span<const int32_t>>& held_out,
    const std::vector<Tensor>& taught) {
  double sum = 0;
  NetworkPass pass(
      student_, [&](int k) { return FinishedBlock(k); }, windows_.window_tokens,
      ctx_);
  RETURN_IF_ERROR(pass.Forward(held_out, NetworkPass::Inputs::kDrop));
  for (size_t w = 0; w < held_out.size(); ++w) {
    RETURN_IF_ERROR(ctx_.CheckCancelled());
    ASSIGN_OR_RETURN(const Tensor teacher, teacher_.Logits(taught[w], ctx_));
    ASSIGN_OR_RETURN(const Tensor student,
                     student_.Logits(pass.outputs()[w], ctx_));
    const Tensor kl = ops::KlDivergence(teacher, student, 1.0f, ctx_);
    for (float v : kl.values()) sum += v;
  }
  return sum / static_cast<double>(options_.held_out_windows *
                                   windows_.window_tokens);
}

absl::StatusOr<NetworkTuningOutcome> NetworkTuning::Run(
    const OnTuningStep& on_step) {
  const int64_t trained = windows_.count() - options_.held_out_windows;
  if (trained < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("distillation holds ", options_.held_out_windows, " of ",
                     windows_.count(),
                     " calibration windows out: none is left to learn "
                     "from"));
  }
  RETURN_IF_ERROR(Prepare());
  optimizer_ = std::make_unique<Optimizer>(options_.optimizer);
  NetworkTuningOutcome outcome;
  std::vector<absl::Span<const int32_t>> held_out;
  for (int64_t w = trained; w < windows_.count(); ++w) {
    held_out.push_back(windows_.Window(w));
  }
  ASSIGN_OR_RETURN(const std::vector<Tensor> taught, TeacherOutputs(held_out));
  ASSIGN_OR_RETURN(outcome.divergence_before, Divergence(held_out, taught));
  WindowOrder order(trained, options_.seed);
  RETURN_IF_ERROR(RunSteps(
      "distillation", options_.schedule,
      [&](const TuningStep& at) {
        std::vector<int64_t> windows;
        for (int64_t i = 0; i < std::min(options_.batch_windows, trained);
             ++i) {
          windows.push_back(order.Next());
        }
        return Step(windows, at.learning_rate);
      },
      on_step));
  ASSIGN_OR_RETURN(outcome.divergence_after, Divergence(held_out, taught));
  outcome.kept = outcome.divergence_after < outcome.divergence_before;
  if (!outcome.kept) parameters_ = start_;
  return outcome;
}

}  // namespace quantd
