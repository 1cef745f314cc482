// The bootstrap: how far a statistic would scatter over other samples of items
// (or of clusters of items), by drawing from those at hand with replacement
// (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).
//
//   // A corpus metric whose counts add up over items:
//   const std::vector<BleuStatistics> items = ...;
//   Bootstrap(items.size(), [&](absl::Span<const uint32_t> drawn) {
//     BleuStatistics sum;
//     for (uint32_t i : drawn) sum += items[i];
//     return CorpusBleu(sum, options).score;
//   }, {.seed = 7});
//
// Resample r draws from a generator of its own, seeded by (seed, r): equal
// arguments give equal bits on every machine, whatever runs beside it.
//
// Thread-safe: plain data and free functions of their arguments.
#ifndef QUANTD_EVALUATORS_STATISTICS_BOOTSTRAP_H_
#define QUANTD_EVALUATORS_STATISTICS_BOOTSTRAP_H_

#include <cstdint>
#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "evaluators/statistics/interval.h"

namespace quantd {

struct BootstrapOptions {
  // At least 100. Ends of a 95 % interval settle to about a tenth of their
  // distance with 2000.
  int resamples = 2000;
  uint64_t seed = 0;
  // Of both intervals.
  double confidence = 0.95;
};

struct BootstrapEstimate {
  // Of the sample itself.
  double estimate = 0;
  // Sample standard deviation of the resamples' values (not divided by the
  // root of their number: more resamples do not make the data surer).
  double standard_error = 0;
  // Mean of the resamples' values less the estimate.
  double bias = 0;
  // Quantiles of the resamples' values, linear between neighbours.
  Interval percentile;
  // Bias-corrected and accelerated (Efron, J. Am. Stat. Assoc. 82, 1987), the
  // acceleration from leaving out one unit at a time; values equal to the
  // estimate count half on either side. Absent where the correction is
  // infinite: every resample lies on one side of the estimate.
  std::optional<Interval> bca;
};

// The statistic of the units drawn (indices below `units`, repeated at will;
// as many as there are units, or one fewer where a unit is left out).
using BootstrapStatistic =
    absl::FunctionRef<double(absl::Span<const uint32_t> drawn)>;

// Calls `statistic` 1 + resamples + units times, from this thread.
// InvalidArgument for fewer than two units, options out of range, or a
// statistic that is not finite for a resample (say which): an interval of the
// others would be one of another population.
absl::StatusOr<BootstrapEstimate> Bootstrap(uint32_t units,
                                            BootstrapStatistic statistic,
                                            const BootstrapOptions& options);

// Of the mean of `values`, whole clusters drawn (`clusters` as
// EstimateMeanOfItems takes them). Given differences of two models on the same
// items it is the paired bootstrap.
absl::StatusOr<BootstrapEstimate> BootstrapMean(
    absl::Span<const double> values, absl::Span<const uint32_t> clusters,
    const BootstrapOptions& options);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_STATISTICS_BOOTSTRAP_H_
