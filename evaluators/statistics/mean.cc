#include "evaluators/statistics/mean.h"

#include <cmath>
#include <cstddef>
#include <limits>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {

std::optional<double> MeanEstimate::DesignEffect() const {
  if (!clustered_error.has_value()) return std::nullopt;
  if (iid_error == 0) return 1.0;
  const double ratio = *clustered_error / iid_error;
  return ratio * ratio;
}

absl::Status CheckFinite(absl::Span<const double> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return absl::InvalidArgumentError(
          absl::StrCat("item ", i, " has the value ", values[i]));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::vector<uint32_t>>> GroupByCluster(
    uint64_t items, absl::Span<const uint32_t> clusters) {
  if (!clusters.empty() && clusters.size() != items) {
    return absl::InvalidArgumentError(
        absl::StrCat(clusters.size(), " cluster names for ", items, " items"));
  }
  if (items > std::numeric_limits<uint32_t>::max()) {
    return absl::InvalidArgumentError(absl::StrCat(items, " items"));
  }
  std::vector<std::vector<uint32_t>> groups;
  if (clusters.empty()) {
    groups.resize(items);
    for (uint32_t i = 0; i < items; ++i) groups[i].push_back(i);
    return groups;
  }
  absl::flat_hash_map<uint32_t, size_t> index_of;
  for (uint32_t i = 0; i < items; ++i) {
    const auto [it, is_new] = index_of.try_emplace(clusters[i], groups.size());
    if (is_new) groups.emplace_back();
    groups[it->second].push_back(i);
  }
  return groups;
}

absl::StatusOr<MeanEstimate> EstimateMeanOfItems(
    absl::Span<const double> scores, absl::Span<const uint32_t> clusters) {
  if (scores.size() < 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a standard error needs two items, there is ", scores.size()));
  }
  RETURN_IF_ERROR(CheckFinite(scores));
  ASSIGN_OR_RETURN(const std::vector<std::vector<uint32_t>> groups,
                   GroupByCluster(scores.size(), clusters));
  const double n = static_cast<double>(scores.size());
  MeanEstimate estimate;
  estimate.items = scores.size();
  estimate.clusters = groups.size();
  double sum = 0;
  for (double score : scores) sum += score;
  estimate.mean = sum / n;
  double squares = 0;
  double cluster_squares = 0;
  for (const std::vector<uint32_t>& group : groups) {
    double deviation = 0;
    for (uint32_t i : group) {
      const double d = scores[i] - estimate.mean;
      squares += d * d;
      deviation += d;
    }
    cluster_squares += deviation * deviation;
  }
  estimate.iid_error = std::sqrt(squares / (n - 1) / n);
  if (groups.size() > 1) {
    const double w = static_cast<double>(groups.size());
    estimate.clustered_error =
        std::sqrt(cluster_squares) / n * std::sqrt(w / (w - 1));
  }
  return estimate;
}

}  // namespace quantd
