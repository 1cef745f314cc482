// How sure a share of right answers is, and the difference of two shares
// measured on the same items.
//
// Thread-safe: free functions of their arguments.
#ifndef QUANTD_EVALUATORS_STATISTICS_PROPORTION_H_
#define QUANTD_EVALUATORS_STATISTICS_PROPORTION_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "evaluators/statistics/interval.h"

namespace quantd {

// Wilson's score interval (J. Am. Stat. Assoc. 22, 1927): with p = right / n
// and z the normal quantile of `confidence`,
//   centre (p + z^2/2n) / (1 + z^2/n)
//   half   z sqrt(p(1-p)/n + z^2/4n^2) / (1 + z^2/n)
// `right` need not be whole: tied answers share credit. InvalidArgument unless
// n > 0, 0 <= right <= n and 0 < confidence < 1.
absl::StatusOr<Interval> WilsonInterval(double right, uint64_t n,
                                        double confidence);

// sqrt(p(1-p)/(n-1)): what the sample standard deviation of 0/1 scores over
// sqrt(n) is. InvalidArgument unless n > 1 and 0 <= p <= 1.
absl::StatusOr<double> BinomialStandardError(double p, uint64_t n);

// Tango's score interval (Stat. Med. 17, 1998, 891-908) for the difference
// (b - c) / n of two shares on the same n items, where b items are right only
// at first and c only at second.
//
// For a supposed difference d the share q of items right only at second has,
// by maximum likelihood under p(first only) = q + d, the larger root of
//   2n q^2 + (d(2n - b + c) - b - c) q - c d(1 - d) = 0,
// and the interval holds every d with
//   |b - c - n d| <= z sqrt(n (2q + d(1 - d))).
// It has the right coverage when b + c is small, even 0, where the normal
// approximation claims certainty: with b = c = 0 it is +-z^2 / (n + z^2).
//
// InvalidArgument unless n > 0, b + c <= n and 0 < confidence < 1.
absl::StatusOr<Interval> TangoInterval(uint64_t b, uint64_t c, uint64_t n,
                                       double confidence);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_STATISTICS_PROPORTION_H_
