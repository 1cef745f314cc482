// What one row of logits says: the normaliser of its softmax, its likeliest
// token and its entropy, in one pass over the row. Runs on the CPU whatever the
// device, on the calling thread; callers cut the rows. Written with Highway.
//
// Thread-safe. A result depends on the row and the instruction set only.
#ifndef QUANTD_KERNELS_LOGIT_SUMMARY_H_
#define QUANTD_KERNELS_LOGIT_SUMMARY_H_

#include <cstdint>

#include "absl/types/span.h"

namespace quantd {

struct LogitSummary {
  // ln(sum_i exp(x_i)): -ln p_i is this less x_i. NaN when a logit is NaN or
  // plus infinity.
  double log_sum_exp = 0;
  // -sum_i p_i ln p_i, in nats. NaN where log_sum_exp is.
  double entropy = 0;
  // The largest logit, the first of several. Of no meaning where log_sum_exp is
  // NaN.
  int32_t top = 0;
  float top_logit = 0;
};

// REQUIRES: at least one logit. Sums over pieces of 1024 logits in float32,
// pieces in float64.
LogitSummary SummarizeLogits(absl::Span<const float> row);

// Of a row whose first `begin` logits gave `before` and whose others `after`:
// the vocabulary can go by in tiles, and no row need ever be whole. With
// s = ln(e^s1 + e^s2) and p1 = e^(s1 - s), the entropy of both is
// p1 (h1 + s - s1) + p2 (h2 + s - s2).
LogitSummary JoinSummaries(const LogitSummary& before,
                           const LogitSummary& after, int32_t begin);

}  // namespace quantd

#endif  // QUANTD_KERNELS_LOGIT_SUMMARY_H_
