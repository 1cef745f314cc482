#include "quantizers/set_statistics.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"

namespace quantd {
namespace {

// Windows per pass through a block: enough rows for the products to run at
// full speed, few enough that the intermediates stay small. A constant,
// because the order of float32 sums in H depends on it.
constexpr int64_t kBatchWindows = 8;

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

  std::map<int, LayerStatistics> Finish() const {
    std::map<int, LayerStatistics> result;
    for (const auto& [set, accumulator] : moments_) {
      result[set].second_moment = accumulator.Finish();
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
    Block& block, const Tensor& hidden, int64_t window_tokens, int first_set,
    int last_set, ExecutionContext& ctx) {
  SecondMomentTap tap(block, first_set, last_set, &ctx);
  const int64_t windows = hidden.rows() / window_tokens;
  for (int64_t w = 0; w < windows; w += kBatchWindows) {
    const int64_t count = std::min(kBatchWindows, windows - w);
    tap.set_sequences(count);
    RETURN_IF_ERROR(
        block
            .Forward(hidden.Rows(w * window_tokens, count * window_tokens),
                     SequenceBatch::Uniform(count, window_tokens), ctx, &tap,
                     nullptr)
            .status());
  }
  return tap.Finish();
}

absl::StatusOr<Tensor> RunBlock(Block& block, const Tensor& hidden,
                                int64_t window_tokens, ExecutionContext& ctx) {
  Tensor out = Tensor::Uninitialized({hidden.rows(), hidden.cols()});
  const int64_t windows = hidden.rows() / window_tokens;
  for (int64_t w = 0; w < windows; w += kBatchWindows) {
    const int64_t begin = w * window_tokens;
    const auto batch = SequenceBatch::Uniform(
        std::min(kBatchWindows, windows - w), window_tokens);
    ASSIGN_OR_RETURN(
        const Tensor part,
        block.Forward(hidden.Rows(begin, batch.rows()), batch, ctx));
    std::copy_n(part.data(), part.size(), out.row(begin));
  }
  return out;
}

}  // namespace quantd
