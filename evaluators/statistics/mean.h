// The mean of item scores with two standard errors.
//
// With x_i the score of item i, n items in W clusters and m the mean:
//   iid        sqrt(sum_i (x_i - m)^2 / (n - 1)) / sqrt(n)
//   clustered  sqrt(sum_w (sum_{i in w} (x_i - m))^2) / n * sqrt(W / (W - 1))
// The first takes items as independent, the second only clusters (the subjects
// of MMLU, the passages of BoolQ), which may differ in size. The second is the
// clustered error of Miller (arXiv:2411.00640, section 2.2), which adds the
// products of deviations within clusters to the iid variance, times the usual
// correction for few clusters; with every item its own cluster the two agree.
//
// Thread-safe: plain data and free functions of their arguments.
#ifndef QUANTD_EVALUATORS_STATISTICS_MEAN_H_
#define QUANTD_EVALUATORS_STATISTICS_MEAN_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace quantd {

struct MeanEstimate {
  double mean = 0;
  uint64_t items = 0;
  uint64_t clusters = 0;
  double iid_error = 0;
  // Absent with one cluster: nothing tells how clusters differ.
  std::optional<double> clustered_error;

  // By which factor clusters multiply the variance, (clustered / iid)^2; 1
  // where all scores are equal. Absent as clustered_error.
  std::optional<double> DesignEffect() const;
};

// `clusters` names the cluster of each item by any number, or is empty: every
// item its own. InvalidArgument for fewer than two items, a score that is not
// finite (its index is named), or a number of clusters' names other than the
// number of scores.
absl::StatusOr<MeanEstimate> EstimateMeanOfItems(
    absl::Span<const double> scores, absl::Span<const uint32_t> clusters);

// Items of each cluster, clusters in the order of their first item. `clusters`
// as above; `items` is the number of items.
absl::StatusOr<std::vector<std::vector<uint32_t>>> GroupByCluster(
    uint64_t items, absl::Span<const uint32_t> clusters);

// InvalidArgument that names the first value that is not finite.
absl::Status CheckFinite(absl::Span<const double> values);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_STATISTICS_MEAN_H_
