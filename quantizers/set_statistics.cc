#include "quantizers/set_statistics.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/status_macros.h"

namespace quantd {
namespace {

// Row r of x times the square root of weight r.
Tensor ScaledRows(const Tensor& x, absl::Span<const float> weights,
                  ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(x.shape());
  ctx.device().pool().ParallelFor(x.rows(), [&](int64_t r) {
    const float scale = std::sqrt(weights[static_cast<size_t>(r)]);
    const float* source = x.row(r);
    float* target = y.row(r);
    for (int64_t c = 0; c < x.cols(); ++c) target[c] = scale * source[c];
  });
  return y;
}

// Gathers what was asked for of one set's inputs.
class SetGatherer {
 public:
  SetGatherer(int64_t cols, const StatisticsRequest& request)
      : request_(request),
        moment_(request.second_moment ? cols : 0),
        sums_(request.mean_abs ? static_cast<size_t>(cols) : 0, 0.0) {
    if (request.sample_rows > 0) {
      sample_ = Tensor::Uninitialized({request.sample_rows, cols});
    }
  }

  // `weights` of the batch's tokens, or empty.
  void Add(const Tensor& input, int64_t sequences,
           absl::Span<const float> weights, ExecutionContext& ctx) {
    tokens_ += input.rows();
    if (request_.second_moment) {
      const bool weighted = !weights.empty() &&
                            weights.size() == static_cast<size_t>(input.rows());
      moment_.Add(weighted ? ScaledRows(input, weights, ctx) : input, sequences,
                  ctx);
    }
    if (request_.mean_abs) AddAbsolutes(input);
    const int64_t room =
        std::min(request_.sample_rows - sample_rows_, input.rows());
    if (room > 0) {
      std::copy_n(input.data(), room * input.cols(), sample_.row(sample_rows_));
      sample_rows_ += room;
    }
  }

  LayerStatistics Finish() && {
    LayerStatistics result;
    result.tokens = tokens_;
    if (request_.second_moment) {
      result.second_moment = std::move(moment_).Finish();
    }
    const double n = static_cast<double>(std::max<int64_t>(tokens_, 1));
    for (double sum : sums_) {
      result.mean_abs.push_back(static_cast<float>(sum / n));
    }
    if (sample_rows_ > 0) result.sample = sample_.Rows(0, sample_rows_);
    return result;
  }

 private:
  void AddAbsolutes(const Tensor& input) {
    for (int64_t r = 0; r < input.rows(); ++r) {
      const float* x = input.row(r);
      for (size_t c = 0; c < sums_.size(); ++c) {
        sums_[c] += std::abs(static_cast<double>(x[c]));
      }
    }
  }

  const StatisticsRequest request_;
  SecondMomentAccumulator moment_;
  std::vector<double> sums_;
  Tensor sample_;
  int64_t sample_rows_ = 0;
  int64_t tokens_ = 0;
};

class StatisticsTap final : public LinearTap {
 public:
  StatisticsTap(Block& block, int first_set, int last_set,
                const StatisticsRequest& request, ExecutionContext* ctx)
      : first_set_(first_set), last_set_(last_set), ctx_(*ctx) {
    for (int set = first_set; set <= last_set; ++set) {
      const int layer = block.linear_sets()[static_cast<size_t>(set)][0];
      sets_.try_emplace(set, block.linears()[static_cast<size_t>(layer)].cols(),
                        request);
    }
  }

  // What the next pass runs over.
  void set_batch(int64_t sequences, absl::Span<const float> weights) {
    sequences_ = sequences;
    weights_ = weights;
  }

  bool OnInput(int set, const Tensor& input) override {
    // An expert that no token of the batch chose is passed over, so the set
    // after the last one may come first.
    if (set > last_set_) return false;
    if (set >= first_set_) {
      sets_.at(set).Add(input, sequences_, weights_, ctx_);
    }
    return set < last_set_;
  }

  std::map<int, LayerStatistics> Finish() && {
    std::map<int, LayerStatistics> result;
    for (auto& [set, gatherer] : sets_) {
      result[set] = std::move(gatherer).Finish();
    }
    return result;
  }

 private:
  const int first_set_;
  const int last_set_;
  ExecutionContext& ctx_;
  int64_t sequences_ = 0;
  absl::Span<const float> weights_;
  std::map<int, SetGatherer> sets_;
};

}  // namespace

absl::StatusOr<std::map<int, LayerStatistics>> GatherStatistics(
    Block& block, const ActivationStore& hidden, int64_t window_tokens,
    int first_set, int last_set, const StatisticsRequest& request,
    absl::Span<const float> token_weights, ExecutionContext& ctx) {
  StatisticsTap tap(block, first_set, last_set, request, &ctx);
  const int64_t windows = hidden.rows() / window_tokens;
  const int64_t step = CalibrationBatchWindows(window_tokens);
  for (int64_t w = 0; w < windows; w += step) {
    const int64_t count = std::min(step, windows - w);
    tap.set_batch(count, token_weights.empty()
                             ? token_weights
                             : token_weights.subspan(
                                   static_cast<size_t>(w * window_tokens),
                                   static_cast<size_t>(count * window_tokens)));
    ASSIGN_OR_RETURN(const Tensor x,
                     hidden.Read(w * window_tokens, count * window_tokens));
    RETURN_IF_ERROR(block
                        .Forward(x,
                                 SequenceBatch::Uniform(count, window_tokens),
                                 ctx, &tap, nullptr)
                        .status());
  }
  return std::move(tap).Finish();
}

absl::Status RunBlock(Block& block, int64_t window_tokens,
                      ActivationStore* hidden, ExecutionContext& ctx) {
  const int64_t windows = hidden->rows() / window_tokens;
  const int64_t step = CalibrationBatchWindows(window_tokens);
  for (int64_t w = 0; w < windows; w += step) {
    const int64_t begin = w * window_tokens;
    const auto batch =
        SequenceBatch::Uniform(std::min(step, windows - w), window_tokens);
    ASSIGN_OR_RETURN(const Tensor x, hidden->Read(begin, batch.rows()));
    ASSIGN_OR_RETURN(const Tensor y, block.Forward(x, batch, ctx));
    RETURN_IF_ERROR(hidden->Write(begin, y));
  }
  return absl::OkStatus();
}

}  // namespace quantd
