#include "kernels/logit_summary.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/logit_summary.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
//
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "kernels/cpu/activations-inl.h"

HWY_BEFORE_NAMESPACE();
namespace quantd::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Lanes add up in float32 over a piece, pieces in float64: a vocabulary of 10^5
// would cost a lane four digits.
constexpr int64_t kPiece = 1024;

LogitSummary Summarize(const float* HWY_RESTRICT row, int64_t count) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t whole = count / lanes * lanes;

  float max = row[0];
  if (whole > 0) {
    auto most = hn::LoadU(d, row);
    for (int64_t c = lanes; c < whole; c += lanes) {
      most = hn::Max(most, hn::LoadU(d, row + c));
    }
    max = hn::GetLane(hn::MaxOfLanes(d, most));
  }
  for (int64_t c = whole; c < count; ++c) max = std::max(max, row[c]);

  LogitSummary summary;
  const float* const top = std::find(row, row + count, max);
  summary.top = top == row + count ? 0 : static_cast<int32_t>(top - row);
  summary.top_logit = max;

  const auto vmax = hn::Set(d, max);
  const auto floor = hn::Set(d, kMinExponent);
  auto nan_seen = hn::Zero(d);
  double sum = 0;
  // sum_i exp(x_i - max) (x_i - max).
  double weighted = 0;
  int64_t c = 0;
  while (c + lanes <= count) {
    const int64_t end = std::min(count, c + std::max(kPiece, lanes));
    auto piece = hn::Zero(d);
    auto weighted_piece = hn::Zero(d);
    for (; c + lanes <= end; c += lanes) {
      const auto v = hn::LoadU(d, row + c);
      // max(v, floor) would hide a NaN; v * 0 is NaN for NaN and infinity.
      nan_seen = hn::MulAdd(v, hn::Zero(d), nan_seen);
      const auto shifted = hn::Max(hn::Sub(v, vmax), floor);
      const auto e = hn::Exp(d, shifted);
      piece = hn::Add(piece, e);
      weighted_piece = hn::MulAdd(e, shifted, weighted_piece);
    }
    sum += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, piece)));
    weighted +=
        static_cast<double>(hn::GetLane(hn::SumOfLanes(d, weighted_piece)));
  }
  sum += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, nan_seen)));
  for (; c < count; ++c) {
    const double shifted = static_cast<double>(row[c]) - max;
    const double e = std::exp(shifted);
    sum += e;
    // 0 times minus infinity is a token without any probability.
    if (e > 0 || std::isnan(e)) weighted += e * shifted;
  }
  const double log_sum = std::log(sum);
  summary.log_sum_exp = static_cast<double>(max) + log_sum;
  // ln p_i = x_i - max - log_sum. Rounding may leave it just below 0.
  const double entropy = log_sum - weighted / sum;
  summary.entropy = entropy < 0 ? 0 : entropy;
  return summary;
}

}  // namespace HWY_NAMESPACE
}  // namespace quantd::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace quantd {
namespace cpu {

HWY_EXPORT(Summarize);

LogitSummary DispatchSummarize(const float* row, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(Summarize)(row, count);
}

}  // namespace cpu

LogitSummary SummarizeLogits(absl::Span<const float> row) {
  return cpu::DispatchSummarize(row.data(), static_cast<int64_t>(row.size()));
}

LogitSummary JoinSummaries(const LogitSummary& before,
                           const LogitSummary& after, int32_t begin) {
  LogitSummary joined;
  // NaN on either side ends up in both numbers.
  const double most = before.log_sum_exp > after.log_sum_exp
                          ? before.log_sum_exp
                          : after.log_sum_exp;
  const double least = before.log_sum_exp + after.log_sum_exp - most;
  joined.log_sum_exp = most + std::log1p(std::exp(least - most));
  for (const LogitSummary* part : {&before, &after}) {
    const double less = joined.log_sum_exp - part->log_sum_exp;
    joined.entropy += std::exp(-less) * (part->entropy + less);
  }
  const bool first = before.top_logit >= after.top_logit;
  joined.top = first ? before.top : begin + after.top;
  joined.top_logit = first ? before.top_logit : after.top_logit;
  return joined;
}

}  // namespace quantd
#endif  // HWY_ONCE
