#include "quantizers/token_weights.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "base/status_macros.h"
#include "quantizers/set_statistics.h"

namespace quantd {
namespace {

// Keeps what attention gives each token, and ends the block behind it.
class AttentionTap final : public LinearTap {
 public:
  bool OnInput(int /*set*/, const Tensor& /*input*/) override {
    return received_.size() == 0;
  }
  bool wants_attention() const override { return true; }
  void OnAttention(const Tensor& received) override { received_ = received; }

  // Of the last pass.
  Tensor TakeReceived() { return std::exchange(received_, Tensor()); }

 private:
  Tensor received_;
};

using Kind = TokenWeighting::Kind;
using PerReader = TokenWeighting::PerReader;

// Raw importance of every row of a batch.
absl::StatusOr<std::vector<double>> ImportanceOf(
    Block& block, const Tensor& x, const SequenceBatch& batch,
    const TokenWeighting& weighting, ExecutionContext& ctx) {
  std::vector<double> importance(static_cast<size_t>(x.rows()));
  if (weighting.kind == Kind::kInputNorm) {
    for (int64_t r = 0; r < x.rows(); ++r) {
      double square = 0;
      for (int64_t c = 0; c < x.cols(); ++c) {
        square += double{x.row(r)[c]} * x.row(r)[c];
      }
      importance[static_cast<size_t>(r)] = std::sqrt(square);
    }
    return importance;
  }
  AttentionTap tap;
  RETURN_IF_ERROR(block.Forward(x, batch, ctx, &tap, nullptr).status());
  const Tensor received = tap.TakeReceived();
  if (received.size() != x.rows()) {
    return absl::InvalidArgumentError(
        "token_importance: the block shows no attention");
  }
  for (const SequenceBatch::Sequence& sequence : batch.sequences()) {
    for (int64_t t = 0; t < sequence.tokens; ++t) {
      double readers = 1;
      if (weighting.per_reader != PerReader::kNo) {
        readers = static_cast<double>(sequence.tokens - t);
        if (weighting.per_reader == PerReader::kRoot) {
          readers = std::sqrt(readers);
        }
      }
      const int64_t row = sequence.begin + t;
      importance[static_cast<size_t>(row)] = received.data()[row] / readers;
    }
  }
  return importance;
}

// One for the first tokens of a window, zero for the others, to mean one.
std::vector<float> FirstTokens(int64_t window_tokens, double share) {
  const int64_t first = std::max<int64_t>(
      1, static_cast<int64_t>(share * static_cast<double>(window_tokens)));
  std::vector<float> weights(static_cast<size_t>(window_tokens), 0.0f);
  std::fill_n(weights.begin(), first,
              static_cast<float>(static_cast<double>(window_tokens) /
                                 static_cast<double>(first)));
  return weights;
}

}  // namespace

std::vector<float> WeightsFromImportance(absl::Span<const double> importance,
                                         double least) {
  const auto [low, high] =
      std::minmax_element(importance.begin(), importance.end());
  if (importance.empty() || !(*high > *low)) {
    return std::vector<float>(importance.size(), 1.0f);
  }
  std::vector<double> scaled;
  double sum = 0;
  for (double value : importance) {
    scaled.push_back(least + (1 - least) * (value - *low) / (*high - *low));
    sum += scaled.back();
  }
  const double count = static_cast<double>(importance.size());
  std::vector<float> weights;
  for (double value : scaled) {
    weights.push_back(static_cast<float>(value / sum * count));
  }
  return weights;
}

absl::StatusOr<std::vector<float>> ComputeTokenWeights(
    Block& block, const ActivationStore& hidden, int64_t window_tokens,
    const TokenWeighting& weighting, ExecutionContext& ctx) {
  std::vector<float> weights;
  if (weighting.uniform()) return weights;
  const int64_t windows = hidden.rows() / window_tokens;
  const int64_t step = CalibrationBatchWindows(window_tokens);
  weights.reserve(static_cast<size_t>(hidden.rows()));
  for (int64_t w = 0; w < windows; w += step) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    const auto batch =
        SequenceBatch::Uniform(std::min(step, windows - w), window_tokens);
    if (weighting.kind == Kind::kFirst) {
      const std::vector<float> window =
          FirstTokens(window_tokens, weighting.first_share);
      for (size_t i = 0; i < batch.sequences().size(); ++i) {
        weights.insert(weights.end(), window.begin(), window.end());
      }
      continue;
    }
    ASSIGN_OR_RETURN(const Tensor x,
                     hidden.Read(w * window_tokens, batch.rows()));
    ASSIGN_OR_RETURN(const std::vector<double> importance,
                     ImportanceOf(block, x, batch, weighting, ctx));
    for (const SequenceBatch::Sequence& sequence : batch.sequences()) {
      const std::vector<float> window = WeightsFromImportance(
          absl::MakeConstSpan(importance)
              .subspan(static_cast<size_t>(sequence.begin),
                       static_cast<size_t>(sequence.tokens)),
          weighting.least);
      weights.insert(weights.end(), window.begin(), window.end());
    }
  }
  return weights;
}

}  // namespace quantd
