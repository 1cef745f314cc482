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
  SecondMomentTap(int first_set, int last_set, ExecutionContext* ctx)
      : first_set_(first_set), last_set_(last_set), ctx_(*ctx) {}

  void set_sequences(int64_t sequences) { sequences_ = sequences; }

  bool OnInput(int set, const Tensor& input) override {
    if (set >= first_set_) {
      moments_.try_emplace(set, input.cols())
          .first->second.Add(input, sequences_, ctx_);
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
  SecondMomentTap tap(first_set, last_set, &ctx);
  const int64_t windows = hidden.rows() / window_tokens;
  for (int64_t w = 0; w < windows; w += kBatchWindows) {
    const int64_t count = std::min(kBatchWindows, windows - w);
    tap.set_sequences(count);
    RETURN_IF_ERROR(
        block
            .Forward(hidden.Rows(w * window_tokens, count * window_tokens),
                     window_tokens, ctx, &tap)
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
    const int64_t rows = std::min(kBatchWindows, windows - w) * window_tokens;
    ASSIGN_OR_RETURN(const Tensor part, block.Forward(hidden.Rows(begin, rows),
                                                      window_tokens, ctx));
    std::copy_n(part.data(), part.size(), out.row(begin));
  }
  return out;
}

}  // namespace quantd
