#include "quantizers/network_tuning.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "quantizers/deviation_weights.h"
#include "quantizers/network_pass.h"
#include "quantizers/window_order.h"
#include "tensor/gradient_tape.h"
#include "tensor/ops.h"

namespace quantd {

NetworkTuning::State NetworkTuning::State::Clone() const {
  State copy = *this;
  for (BlockParameters& block : copy.parameters) {
    for (std::vector<Tensor>& layer : block) {
      for (Tensor& t : layer) t = t.Clone();
    }
  }
  return copy;
}

absl::Status NetworkTuning::Prepare() {
  bool codes_are_free = false;
  for (int k = 0; k < student_.block_count(); ++k) {
    RETURN_IF_ERROR(ctx_.CheckCancelled());
    state_.codes.emplace_back();
    ASSIGN_OR_RETURN(const auto block, LoadStudent(k));
    BlockParameters own;
    for (const auto& tunable : tunables_) {
      own.push_back(tunable == nullptr ? std::vector<Tensor>()
                                       : tunable->Parameters());
      for (size_t p = 0; p < own.back().size(); ++p) {
        factors_.push_back(tunable->LearningRateFactor(p));
      }
    }
    state_.codes.back().resize(own.size());
    if (chooses_codes()) {
      for (size_t i = 0; i < own.size() && !codes_are_free; ++i) {
        codes_are_free =
            !own[i].empty() && tunables_[i]->Codes(own[i], ctx_) != nullptr;
      }
      code_steps_.emplace_back(own.size(), CodeStep(options_.codes));
    }
    state_.parameters.push_back(std::move(own));
  }
  if (factors_.empty()) {
    return absl::InvalidArgumentError(
        "no layer has anything that distillation could learn");
  }
  if (chooses_codes() && !codes_are_free) {
    return absl::InvalidArgumentError(
        "CODES: no layer has codes that could be chosen anew; binary layouts "
        "have LATENT, and codes behind a rotation, an input scale, outliers or "
        "low-rank factors stay");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Block>> NetworkTuning::LoadStudent(int k) {
  ASSIGN_OR_RETURN(auto block, student_.LoadBlock(k, ctx_));
  std::unique_ptr<Block> original;
  if (FindLearnedVariable(options_.learned.variable)->needs_original) {
    ASSIGN_OR_RETURN(original, teacher_.LoadBlock(k, ctx_));
  }
  const size_t at = static_cast<size_t>(k);
  const BlockCodes& codes = state_.codes[at];
  tunables_.clear();
  for (size_t i = 0; i < block->linears().size(); ++i) {
    tunables_.emplace_back();
    Linear& layer = block->linears()[i];
    if (layer.compressed() == nullptr) continue;
    const bool chosen = !codes.empty() && codes[i] != nullptr;
    ASSIGN_OR_RETURN(
        tunables_.back(),
        Annotate(NewLearnedLayer(chosen ? *codes[i] : *layer.compressed(),
                                 original == nullptr
                                     ? Tensor()
                                     : original->linears()[i].weight(),
                                 options_.learned),
                 "layer ", layer.name()));
    // None yet when the parameters are first asked for.
    if (at == state_.parameters.size() || state_.parameters[at][i].empty()) {
      continue;
    }
    // Where the last step left them.
    tunables_.back()->Project(absl::MakeSpan(state_.parameters[at][i]));
  }
  return block;
}

absl::StatusOr<std::unique_ptr<Block>> NetworkTuning::StudentBlock(int k) {
  ASSIGN_OR_RETURN(auto block, LoadStudent(k));
  const BlockParameters& own = state_.parameters[static_cast<size_t>(k)];
  for (size_t i = 0; i < own.size(); ++i) {
    if (own[i].empty()) continue;
    block->linears()[i].SetWeight(tunables_[i]->Weight(own[i], ctx_));
  }
  return block;
}

absl::StatusOr<NetworkTuning::BlockParameters>
NetworkTuning::ParameterGradients(int k, absl::Span<const Tensor> weights) {
  BlockParameters gradients;
  const BlockParameters& own = state_.parameters[static_cast<size_t>(k)];
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
  ASSIGN_OR_RETURN(auto block, LoadStudent(k));
  const BlockParameters& own = state_.parameters[static_cast<size_t>(k)];
  for (size_t i = 0; i < own.size(); ++i) {
    if (own[i].empty()) continue;
    Linear& layer = block->linears()[i];
    ASSIGN_OR_RETURN(auto frozen, Annotate(tunables_[i]->Freeze(own[i], ctx_),
                                           "layer ", layer.name()));
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
  const double rows = static_cast<double>(windows_.window_tokens) *
                      static_cast<double>(windows.size());
  double loss = 0;
  std::vector<Tensor> behind;
  for (size_t w = 0; w < tokens.size(); ++w) {
    RETURN_IF_ERROR(ctx_.CheckCancelled());
    ASSIGN_OR_RETURN(Loss own, Distance(taught[w], pass.outputs()[w], rows));
    loss += own.value;
    behind.push_back(std::move(own.gradient));
  }
  std::vector<BlockParameters> gradients(state_.parameters.size());
  // Of all weights, where codes are chosen by them.
  std::vector<std::vector<Tensor>> weights(state_.codes.size());
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
        if (chooses_codes()) {
          weights[static_cast<size_t>(k)] = std::move(sums);
        }
        sums.clear();
        return absl::OkStatus();
      }));
  std::vector<Tensor> flat, values;
  for (size_t k = 0; k < gradients.size(); ++k) {
    for (size_t i = 0; i < gradients[k].size(); ++i) {
      for (size_t p = 0; p < gradients[k][i].size(); ++p) {
        flat.push_back(std::move(gradients[k][i][p]));
        values.push_back(state_.parameters[k][i][p]);
      }
    }
  }
  if (options_.gradient_limit > 0) {
    ClipByGlobalNorm(options_.gradient_limit, absl::MakeSpan(flat));
  }
  // Tensors share their storage with the state.
  optimizer_->Step(rate, flat, absl::MakeSpan(values), factors_);
  if (chooses_codes()) {
    const double share = rate / options_.schedule.peak;
    RETURN_IF_ERROR(ChooseCodes(options_.codes.rate * share, weights));
  }
  return loss;
}

absl::StatusOr<NetworkTuning::Loss> NetworkTuning::Distance(
    const Tensor& taught, const Tensor& hidden, double rows) {
  ASSIGN_OR_RETURN(const Tensor teacher, teacher_.Logits(taught, ctx_));
  GradientTape tape(ctx_);
  const Tensor leaf = tape.Watch(hidden);
  ASSIGN_OR_RETURN(const Tensor student, student_.Logits(leaf, ctx_));
  const double temperature = options_.temperature;
  const Tensor kl = ops::KlDivergence(teacher, student,
                                      static_cast<float>(temperature), ctx_);
  const DeviationWeights deviation = {options_.deviation_weight,
                                      options_.deviation_power};
  Tensor seed = Tensor::Uninitialized(kl.shape());
  Loss loss;
  for (int64_t t = 0; t < kl.size(); ++t) {
    const double weight =
        temperature * temperature / rows * deviation.Of(teacher, t);
    loss.value += weight * kl.data()[t];
    seed.data()[t] = static_cast<float>(weight);
  }
  RETURN_IF_ERROR(tape.Backward({{kl, std::move(seed)}}));
  loss.gradient = tape.Gradient(leaf);
  return loss;
}

absl::Status NetworkTuning::ChooseCodes(
    double rate, absl::Span<const std::vector<Tensor>> gradients) {
  for (int k = 0; k < student_.block_count(); ++k) {
    RETURN_IF_ERROR(ctx_.CheckCancelled());
    const size_t at = static_cast<size_t>(k);
    ASSIGN_OR_RETURN(const auto block, LoadStudent(k));
    const BlockParameters& own = state_.parameters[at];
    for (size_t i = 0; i < own.size(); ++i) {
      if (own[i].empty()) continue;
      const auto choice = tunables_[i]->Codes(own[i], ctx_);
      if (choice == nullptr) continue;
      code_steps_[at][i].Step(rate, gradients[at][i],
                              tunables_[i]->Weight(own[i], ctx_), *choice,
                              ctx_);
      ASSIGN_OR_RETURN(
          state_.codes[at][i],
          Annotate(choice->Finish(), "layer ", block->linears()[i].name()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<double> NetworkTuning::ChangedCodes() {
  int64_t units = 0, changed = 0;
  for (int k = 0; k < student_.block_count(); ++k) {
    ASSIGN_OR_RETURN(const auto block, student_.LoadBlock(k, ctx_));
    const BlockCodes& codes = state_.codes[static_cast<size_t>(k)];
    for (size_t i = 0; i < codes.size(); ++i) {
      if (codes[i] == nullptr) continue;
      const auto before = block->linears()[i].compressed()->Tunable();
      const auto after = codes[i]->Tunable();
      const auto was = before->Codes(before->Parameters(), ctx_);
      const auto is = after->Codes(after->Parameters(), ctx_);
      units += was->units();
      for (int64_t u = 0; u < was->units(); ++u) {
        changed += was->CodesOf(u) != is->CodesOf(u);
      }
    }
  }
  return units == 0 ? 0.0
                    : static_cast<double>(changed) / static_cast<double>(units);
}

absl::StatusOr<double> NetworkTuning::Divergence(
    const std::vector<absl::Span<const int32_t>>& held_out,
    const std::vector<Tensor>& taught, NetworkPass::BlockSource blocks) {
  double sum = 0;
  NetworkPass pass(student_, std::move(blocks), windows_.window_tokens, ctx_);
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
  // What the compressed network is before anything is learned: a variable may
  // begin elsewhere.
  ASSIGN_OR_RETURN(outcome.divergence_before,
                   Divergence(held_out, taught, [&](int k) {
                     return student_.LoadBlock(k, ctx_);
                   }));
  outcome.divergence_after = std::numeric_limits<double>::infinity();
  State best;
  WindowOrder order(trained, options_.seed);
  const int64_t steps = options_.schedule.steps;
  RETURN_IF_ERROR(RunSteps(
      "distillation", options_.schedule,
      [&](const TuningStep& at) -> absl::StatusOr<double> {
        std::vector<int64_t> windows;
        for (int64_t i = 0; i < std::min(options_.batch_windows, trained);
             ++i) {
          windows.push_back(order.Next());
        }
        ASSIGN_OR_RETURN(const double loss, Step(windows, at.learning_rate));
        const int64_t made = at.step + 1;
        if (made % options_.check_steps != 0 && made != steps) return loss;
        ASSIGN_OR_RETURN(const double divergence,
                         Divergence(held_out, taught,
                                    [&](int k) { return FinishedBlock(k); }));
        if (divergence < outcome.divergence_after) {
          outcome.divergence_after = divergence;
          outcome.best_step = made;
          best = state_.Clone();
        }
        return loss;
      },
      on_step));
  outcome.kept = outcome.divergence_after < outcome.divergence_before;
  kept_ = outcome.kept;
  if (!outcome.kept) return outcome;
  state_ = std::move(best);
  if (chooses_codes()) {
    ASSIGN_OR_RETURN(outcome.changed_codes, ChangedCodes());
  }
  return outcome;
}

absl::StatusOr<std::unique_ptr<Block>> NetworkTuning::ResultBlock(int k) {
  return kept_ ? FinishedBlock(k) : student_.LoadBlock(k, ctx_);
}

}  // namespace quantd
