#include "quantizers/block_tuning.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "base/status_macros.h"
#include "quantizers/set_statistics.h"
#include "quantizers/window_order.h"
#include "tensor/estimators.h"
#include "tensor/gradient_tape.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

class BlockTuner {
 public:
  BlockTuner(Block& block, std::vector<TunedLayer> layers,
             const BlockExamples& examples, const BlockTuningOptions& options,
             ExecutionContext& ctx)
      : block_(block),
        layers_(std::move(layers)),
        inputs_(*examples.inputs),
        targets_(*examples.targets),
        original_inputs_(examples.original_inputs),
        window_tokens_(examples.window_tokens),
        options_(options),
        ctx_(ctx),
        order_(inputs_.rows() / window_tokens_, options.seed),
        mixing_(options.seed + 1) {
    for (const TunedLayer& tuned : layers_) {
      first_.push_back(parameters_.size());
      const std::vector<Tensor> own = tuned.tunable->Parameters();
      for (size_t i = 0; i < own.size(); ++i) {
        parameters_.push_back(own[i]);
        factors_.push_back(tuned.tunable->LearningRateFactor(i));
      }
    }
    first_.push_back(parameters_.size());
  }

  absl::StatusOr<BlockReport> Run(const OnTuningStep& on_step) {
    BlockReport report;
    report.block = block_.name();
    ASSIGN_OR_RETURN(report.loss_before, LossOverAll());
    if (options_.loss == v1::TuneStage::CHANNEL_SQUARED) {
      RETURN_IF_ERROR(WeighChannels());
    }
    std::vector<std::shared_ptr<const CompressedLinear>> start;
    for (const TunedLayer& tuned : layers_) {
      start.push_back(tuned.layer->compressed());
    }
    Optimizer optimizer(options_.optimizer);
    RETURN_IF_ERROR(RunSteps(
        "tuning", options_.schedule,
        [&](const TuningStep& at) { return Step(at, optimizer); }, on_step));
    for (size_t i = 0; i < layers_.size(); ++i) {
      const TunedLayer& tuned = layers_[i];
      ASSIGN_OR_RETURN(auto frozen, Annotate(tuned.tunable->Freeze(
                                                 Own(parameters_, i), ctx_),
                                             "layer ", tuned.layer->name()));
      tuned.layer->SetCompressed(std::move(frozen), ctx_);
    }
    ASSIGN_OR_RETURN(report.loss_after, LossOverAll());
    report.kept = report.loss_after < report.loss_before;
    for (size_t i = 0; i < layers_.size() && !report.kept; ++i) {
      layers_[i].layer->SetCompressed(std::move(start[i]), ctx_);
    }
    return report;
  }

 private:
  // A window, or two of them.
  struct Mixture {
    int64_t window = 0;
    int64_t other = -1;
    float share = 1;  // of `window`
  };

  // Those of layer i.
  template <typename T>
  absl::Span<T> Own(std::vector<T>& parameters, size_t i) const {
    return absl::MakeSpan(parameters)
        .subspan(first_[i], first_[i + 1] - first_[i]);
  }

  absl::StatusOr<double> Step(const TuningStep& at, Optimizer& optimizer) {
    RETURN_IF_ERROR(ctx_.CheckCancelled());
    // Parameters to weights on one tape, weights to the loss on another, for
    // every piece of the batch: no more than a piece is in memory.
    GradientTape tape(ctx_);
    std::vector<Tensor> watched;
    for (const Tensor& parameter : parameters_) {
      watched.push_back(tape.Watch(parameter));
    }
    std::vector<GradientTape::Seed> seeds;
    for (size_t i = 0; i < layers_.size(); ++i) {
      const TunableLinear& tunable = *layers_[i].tunable;
      GradientTape::Seed seed;
      seed.output = tunable.Weight(Own(watched, i), ctx_);
      seed.gradient = Tensor::Zeros(seed.output.shape());
      seeds.push_back(std::move(seed));
    }
    ASSIGN_OR_RETURN(const double loss, AddBatch(&seeds));
    const double progress = static_cast<double>(at.step) /
                            static_cast<double>(options_.schedule.steps);
    for (size_t i = 0; i < layers_.size(); ++i) {
      Tensor penalty =
          layers_[i].tunable->Penalty(Own(watched, i), progress, ctx_);
      if (penalty.size() == 0) continue;
      seeds.push_back({std::move(penalty), Tensor::FromValues({1}, {1.0f})});
    }
    RETURN_IF_ERROR(tape.Backward(seeds));
    std::vector<Tensor> gradients;
    for (const Tensor& leaf : watched) gradients.push_back(tape.Gradient(leaf));
    if (options_.gradient_limit > 0) {
      // The tape may share a gradient between parameters.
      for (Tensor& gradient : gradients) gradient = gradient.Clone();
      ClipByGlobalNorm(options_.gradient_limit, absl::MakeSpan(gradients));
    }
    optimizer.Step(at.learning_rate, gradients, absl::MakeSpan(parameters_),
                   factors_);
    for (size_t i = 0; i < layers_.size(); ++i) {
      layers_[i].tunable->Project(Own(parameters_, i));
    }
    return loss;
  }

  // Adds the gradients of the loss of the next windows with respect to the
  // weights.
  absl::StatusOr<double> AddBatch(std::vector<GradientTape::Seed>* weights) {
    const int64_t windows =
        std::min(options_.batch_windows, inputs_.rows() / window_tokens_);
    const double tokens = static_cast<double>(windows * window_tokens_);
    const int64_t step = CalibrationBatchWindows(window_tokens_);
    double loss = 0;
    for (int64_t w = 0; w < windows; w += step) {
      const std::vector<Mixture> drawn = Draw(std::min(step, windows - w));
      ASSIGN_OR_RETURN(const Tensor target, Windows(targets_, drawn));
      if (options_.inputs != v1::TuneStage::ORIGINAL) {
        ASSIGN_OR_RETURN(const double own,
                         AddPiece(inputs_, drawn, target, tokens, weights));
        loss += own;
      }
      if (options_.inputs != v1::TuneStage::COMPRESSED) {
        ASSIGN_OR_RETURN(const double own, AddPiece(*original_inputs_, drawn,
                                                    target, tokens, weights));
        loss += own;
      }
    }
    return loss;
  }

  // Of the windows `drawn` of one network's inputs; a token counts 1 / tokens.
  absl::StatusOr<double> AddPiece(const ActivationStore& inputs,
                                  const std::vector<Mixture>& drawn,
                                  const Tensor& target, double tokens,
                                  std::vector<GradientTape::Seed>* weights) {
    ASSIGN_OR_RETURN(const Tensor x, Windows(inputs, drawn));
    GradientTape tape(ctx_);
    std::vector<Tensor> leaves;
    for (size_t i = 0; i < layers_.size(); ++i) {
      leaves.push_back(tape.Watch((*weights)[i].output.Untracked()));
      layers_[i].layer->SetWeight(leaves.back());
    }
    ASSIGN_OR_RETURN(
        const Tensor y,
        block_.Forward(x,
                       SequenceBatch::Uniform(
                           static_cast<int64_t>(drawn.size()), window_tokens_),
                       ctx_));
    const Tensor errors = Errors(y, target);
    double loss = 0;
    for (float error : errors.values()) loss += error;
    Tensor seed = Tensor::Uninitialized(errors.shape());
    std::fill(seed.values().begin(), seed.values().end(),
              static_cast<float>(1 / tokens));
    RETURN_IF_ERROR(tape.Backward({{errors, seed}}));
    for (size_t i = 0; i < layers_.size(); ++i) {
      const Tensor gradient = tape.Gradient(leaves[i]);
      ctx_.device().Add(gradient.data(), gradient.size(),
                        (*weights)[i].gradient.data());
      // Nothing refers to the tape when it is gone.
      layers_[i].layer->SetWeight((*weights)[i].output.Untracked());
    }
    return loss / tokens;
  }

  // Of every token.
  Tensor Errors(const Tensor& y, const Tensor& target) {
    switch (options_.loss) {
      case v1::TuneStage::ABSOLUTE:
        return ops::AbsoluteError(y, target);
      case v1::TuneStage::COSINE_DISTANCE:
        return ops::CosineDistance(y, target);
      case v1::TuneStage::CHANNEL_SQUARED:
        return ops::SquaredError(
            ops::ScaleColumns(y, channel_weights_, ctx_),
            ops::ScaleColumns(target, channel_weights_, ctx_));
      default:
        return ops::SquaredError(y, target);
    }
  }

  // The reciprocal root mean square of every channel of the targets; 0 where
  // they are.
  absl::Status WeighChannels() {
    std::vector<double> squares(static_cast<size_t>(targets_.cols()), 0.0);
    for (int64_t w = 0; w < targets_.rows(); w += window_tokens_) {
      ASSIGN_OR_RETURN(const Tensor rows, targets_.Read(w, window_tokens_));
      for (int64_t r = 0; r < rows.rows(); ++r) {
        for (size_t c = 0; c < squares.size(); ++c) {
          const double v = rows.row(r)[c];
          squares[c] += v * v;
        }
      }
    }
    channel_weights_ = Tensor::Zeros({targets_.cols()});
    for (size_t c = 0; c < squares.size(); ++c) {
      if (squares[c] == 0) continue;
      channel_weights_.data()[c] = static_cast<float>(
          std::sqrt(static_cast<double>(targets_.rows()) / squares[c]));
    }
    return absl::OkStatus();
  }

  std::vector<Mixture> Draw(int64_t count) {
    std::vector<Mixture> drawn(static_cast<size_t>(count));
    for (Mixture& mixture : drawn) {
      mixture.window = order_.Next();
      if (options_.mixup == 0 || Uniform() >= options_.mixup) continue;
      mixture.other = order_.Next();
      mixture.share = static_cast<float>(Uniform());
    }
    return drawn;
  }

  // In [0, 1); std::uniform_real_distribution is up to the library.
  double Uniform() { return static_cast<double>(mixing_() >> 11) * 0x1p-53; }

  // Of the layers as they are.
  absl::StatusOr<double> LossOverAll() {
    const int64_t windows = inputs_.rows() / window_tokens_;
    const int64_t step = CalibrationBatchWindows(window_tokens_);
    double loss = 0;
    for (int64_t w = 0; w < windows; w += step) {
      const int64_t count = std::min(step, windows - w);
      ASSIGN_OR_RETURN(const Tensor x, inputs_.Read(w * window_tokens_,
                                                    count * window_tokens_));
      ASSIGN_OR_RETURN(
          const Tensor target,
          targets_.Read(w * window_tokens_, count * window_tokens_));
      ASSIGN_OR_RETURN(
          const Tensor y,
          block_.Forward(x, SequenceBatch::Uniform(count, window_tokens_),
                         ctx_));
      const Tensor errors = ops::SquaredError(y, target);
      for (float error : errors.values()) loss += error;
    }
    return loss / static_cast<double>(inputs_.rows());
  }

  absl::StatusOr<Tensor> Windows(const ActivationStore& store,
                                 const std::vector<Mixture>& drawn) const {
    Tensor rows = Tensor::Uninitialized(
        {static_cast<int64_t>(drawn.size()) * window_tokens_, store.cols()});
    for (size_t i = 0; i < drawn.size(); ++i) {
      const Mixture& mixture = drawn[i];
      ASSIGN_OR_RETURN(
          const Tensor window,
          store.Read(mixture.window * window_tokens_, window_tokens_));
      float* const out = rows.row(static_cast<int64_t>(i) * window_tokens_);
      std::copy_n(window.data(), window.size(), out);
      if (mixture.other < 0) continue;
      ASSIGN_OR_RETURN(
          const Tensor other,
          store.Read(mixture.other * window_tokens_, window_tokens_));
      for (int64_t e = 0; e < window.size(); ++e) {
        out[e] = mixture.share * out[e] + (1 - mixture.share) * other.data()[e];
      }
    }
    return rows;
  }

  Block& block_;
  const std::vector<TunedLayer> layers_;
  const ActivationStore& inputs_;
  const ActivationStore& targets_;
  const ActivationStore* const original_inputs_;
  const int64_t window_tokens_;
  const BlockTuningOptions& options_;
  ExecutionContext& ctx_;
  WindowOrder order_;
  std::mt19937_64 mixing_;
  Tensor channel_weights_;          // [hidden]
  std::vector<Tensor> parameters_;  // of all layers, one after the other
  std::vector<double> factors_;     // of their learning rates
  std::vector<size_t> first_;       // of each layer, and their number
};

}  // namespace

absl::StatusOr<BlockReport> TuneBlock(Block& block,
                                      std::vector<TunedLayer> layers,
                                      const BlockExamples& examples,
                                      const BlockTuningOptions& options,
                                      const OnTuningStep& on_step,
                                      ExecutionContext& ctx) {
  return BlockTuner(block, std::move(layers), examples, options, ctx)
      .Run(on_step);
}

}  // namespace quantd
