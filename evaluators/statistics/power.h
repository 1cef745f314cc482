// How small a difference a number of items can show, and how many items a
// difference needs.
//
// With v the variance of one item's difference and z the normal quantiles,
//   n = (z_alpha + z_power)^2 v / effect^2
// with z_alpha at 1 - alpha / 2 for two sides and 1 - alpha for one (Miller,
// arXiv:2411.00640, section 5). For two models' right and wrong answers v is
// the flip rate, the variance where neither is better: 4 % of flips, an effect
// of one point and a power of 80 % make 3140 items. With clusters, v is that
// times the design effect. For non-inferiority the effect is the margin less
// the true loss, and one side is asked.
//
// Thread-safe: plain data and free functions of their arguments.
#ifndef QUANTD_EVALUATORS_STATISTICS_POWER_H_
#define QUANTD_EVALUATORS_STATISTICS_POWER_H_

#include <cstdint>

#include "absl/status/statusor.h"

namespace quantd {

enum class Sides { kOne, kTwo };

struct PowerOptions {
  // Chance of a finding where there is none.
  double alpha = 0.05;
  // Chance of finding an effect that is there.
  double power = 0.8;
  Sides sides = Sides::kTwo;
};

// The smallest effect that `items` show with the power asked for. Above v
// where v is a flip rate, it means that not even flips all in one direction
// would be enough. InvalidArgument for no items, a variance that is negative
// or not finite, or alpha or power out of 0..1 or alpha not below power.
absl::StatusOr<double> MinimumDetectableEffect(double variance, uint64_t items,
                                               const PowerOptions& options);

// Rounded up, at least 1; InvalidArgument as above and for an effect of 0.
// OutOfRange above 10^15 items.
absl::StatusOr<uint64_t> NeededItems(double variance, double effect,
                                     const PowerOptions& options);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_STATISTICS_POWER_H_
