#include "quantizers/set_statistics.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"

namespace quantd {
namespace {

class SecondMomentTap final : public LinearTap {
 public:
  SecondMomentTap(Block& block, int first_set, int last_set,
                  ExecutionContext* ctx)
      : first_set_(first_set), last_set_(last_set), ctx_(*ctx) {
    for (int set = first_set; set <= last_set; ++set) {
      const int layer = block.linear_sets()[static_cast<size_t>(set)][0];
      moments_.try_emplace(set,
                           block.linears()[static_cast<size_t>(layer)].cols());
    }
  }

  void set_sequences(int64_t sequences) { sequences_ = sequences; }

  bool OnInput(int set, const Tensor& input) override {
    // An expert that no token of the batch chose is passed over, so the set
    // after the last one may come first.
    if (set > last_set_) return false;
    if (set >= first_set_) {
      moments_.at(set).Add(input, sequences_, ctx_);
    }
    return set < last_set_;
  }

  std::map<int, LayerStatistics> Finish() && {
    std::map<int, LayerStatistics> result;
    for (auto& [set, accumulator] : moments_) {
      result[set].tokens = accumulator.tokens();
      result[set].second_moment = std::move(accumulator).Finish();
    }
    return result;
  }

 private:
  const int first_set_;
  const int last_set_;
  ExecutionContext& ctx_;
  int64_t sequences_ = 0;
  std::map<int, SecondMomentAccumulator> moments_;
};

}  // namespace

absl::StatusOr<std::map<int, LayerStatistics>> GatherStatistics(
    Block& block, const ActivationStore& hidden, int64_t window_tokens,
    int first_set, int last_set, ExecutionContext& ctx) {
  SecondMomentTap tap(block, first_set, last_set, &ctx);
  const int64_t windows = hidden.rows() / window_tokens;
  const int64_t step = CalibrationBatchWindows(window_tokens);
  for (int64_t w = 0; w < windows; w += step) {
    const int64_t count = std::min(step, windows - w);
    tap.set_sequences(count);
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
