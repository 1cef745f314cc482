#include "evaluators/task_scores.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/statistics/bootstrap.h"
#include "evaluators/statistics/mean.h"
#include "evaluators/statistics/proportion.h"

namespace quantd {
namespace {

constexpr double kConfidence = 0.95;

using Items = std::vector<uint32_t>;

double MeanOf(const std::vector<double>& values, const Items& items) {
  double sum = 0;
  for (const uint32_t i : items) sum += values[i];
  return sum / static_cast<double>(items.size());
}

double ValueOf(const ItemScores& scores, const Items& items) {
  if (scores.of_items) return scores.of_items(items);
  const double mean = MeanOf(scores.values, items);
  return scores.of_mean == nullptr ? mean : scores.of_mean(mean);
}

// Items by the value of subset key number `key`.
std::map<std::string, Items> SubsetsOf(absl::Span<const TaskItem> items,
                                       size_t key) {
  std::map<std::string, Items> subsets;
  for (size_t i = 0; i < items.size(); ++i) {
    subsets[items[i].labels[key]].push_back(static_cast<uint32_t>(i));
  }
  return subsets;
}

std::vector<double> Picked(const std::vector<double>& values,
                           const Items& items) {
  std::vector<double> picked;
  for (const uint32_t i : items) picked.push_back(values[i]);
  return picked;
}

// The mean of the means of subsets, errors as those of independent samples:
// sqrt(sum_s e_s^2) / k.
absl::Status FillMeanOfSubsets(const ItemScores& scores,
                               const std::map<std::string, Items>& subsets,
                               absl::Span<const uint32_t> clusters,
                               v1::TaskMetric* metric) {
  double value = 0, iid = 0, clustered = 0;
  for (const auto& [name, items] : subsets) {
    value += ValueOf(scores, items);
    if (items.size() < 2) continue;
    Items own;
    for (const uint32_t i : items) {
      if (!clusters.empty()) own.push_back(clusters[i]);
    }
    ASSIGN_OR_RETURN(const MeanEstimate mean,
                     EstimateMeanOfItems(Picked(scores.values, items), own));
    iid += mean.iid_error * mean.iid_error;
    // A subset that is one cluster says nothing of how clusters differ.
    const double error = mean.clustered_error.value_or(mean.iid_error);
    clustered += error * error;
  }
  const double count = static_cast<double>(subsets.size());
  metric->set_value(value / count);
  metric->set_error_iid(std::sqrt(iid) / count);
  metric->set_error_clustered(std::sqrt(clustered) / count);
  return absl::OkStatus();
}

absl::Status FillCorpusValue(const ItemScores& scores, const Items& all,
                             absl::Span<const Items> groups,
                             v1::TaskMetric* metric) {
  if (!scores.bootstraps) {
    metric->set_value(scores.of_items(all));
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(
      BootstrapEstimate bootstrap,
      Bootstrap(static_cast<uint32_t>(all.size()), scores.of_items, {}));
  metric->set_value(bootstrap.estimate);
  metric->set_error_iid(bootstrap.standard_error);
  // One cluster says nothing of how clusters differ.
  if (groups.size() > 1 && groups.size() < all.size()) {
    const auto of_groups = [&](absl::Span<const uint32_t> drawn) {
      Items items;
      for (const uint32_t g : drawn) {
        items.insert(items.end(), groups[g].begin(), groups[g].end());
      }
      return scores.of_items(items);
    };
    ASSIGN_OR_RETURN(bootstrap, Bootstrap(static_cast<uint32_t>(groups.size()),
                                          of_groups, {}));
  }
  metric->set_error_clustered(bootstrap.standard_error);
  metric->set_low(bootstrap.bca.value_or(bootstrap.percentile).lower);
  metric->set_high(bootstrap.bca.value_or(bootstrap.percentile).upper);
  return absl::OkStatus();
}

absl::Status FillMean(const ItemScores& scores,
                      absl::Span<const uint32_t> clusters,
                      v1::TaskMetric* metric) {
  ASSIGN_OR_RETURN(const MeanEstimate mean,
                   EstimateMeanOfItems(scores.values, clusters));
  const double slope =
      scores.slope == nullptr ? 1 : std::abs(scores.slope(mean.mean));
  metric->set_value(scores.of_mean == nullptr ? mean.mean
                                              : scores.of_mean(mean.mean));
  metric->set_error_iid(slope * mean.iid_error);
  metric->set_error_clustered(slope *
                              mean.clustered_error.value_or(mean.iid_error));
  if (!scores.is_share) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Interval wilson,
                   WilsonInterval(mean.mean * static_cast<double>(mean.items),
                                  mean.items, kConfidence));
  metric->set_low(wilson.lower);
  metric->set_high(wilson.upper);
  return absl::OkStatus();
}

absl::Status CheckValues(const ItemScores& scores,
                         absl::Span<const TaskItem> items) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (std::isfinite(scores.values[i])) continue;
    return absl::InternalError(
        absl::StrCat("item ", i, " (line ", items[i].line, "): ", scores.name,
                     " is ", scores.values[i], ", the model is broken"));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<uint32_t> ClustersOf(absl::Span<const TaskItem> items) {
  bool any = false;
  absl::flat_hash_map<std::string, uint32_t> numbers;
  std::vector<uint32_t> clusters;
  uint32_t next = 0;
  for (const TaskItem& item : items) {
    any = any || !item.cluster.empty();
    if (item.cluster.empty()) {
      clusters.push_back(next++);
      continue;
    }
    const auto [found, is_new] = numbers.try_emplace(item.cluster, next);
    if (is_new) ++next;
    clusters.push_back(found->second);
  }
  if (!any) clusters.clear();
  return clusters;
}

void OrderByTask(const TaskDefinition& task, std::vector<ItemScores>* scores) {
  const auto place = [&](const ItemScores& each) {
    // "exact_match,strict-match" belongs to exact_match.
    const absl::string_view name =
        absl::string_view(each.name).substr(0, each.name.find(','));
    const auto found = std::find_if(
        task.metrics.begin(), task.metrics.end(),
        [&](const TaskMetric& metric) { return metric.name == name; });
    return found - task.metrics.begin();
  };
  std::stable_sort(scores->begin(), scores->end(),
                   [&](const ItemScores& a, const ItemScores& b) {
                     return place(a) < place(b);
                   });
}

absl::Status FillScores(const TaskDefinition& task,
                        absl::Span<const TaskItem> items,
                        absl::Span<const ItemScores> scores,
                        v1::TaskReport* report) {
  if (items.size() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("task ", task.name, " has ", items.size(),
                     " item: a score needs two or more to have an error"));
  }
  const std::vector<uint32_t> clusters = ClustersOf(items);
  report->set_item_count(items.size());
  ASSIGN_OR_RETURN(const auto groups, GroupByCluster(items.size(), clusters));
  report->set_cluster_count(groups.size());
  *report->mutable_item_cluster() = {clusters.begin(), clusters.end()};
  Items all(items.size());
  std::iota(all.begin(), all.end(), 0);
  const bool of_subsets =
      task.group_mean == GroupMean::kSubsets && !task.subsets.empty();
  for (const ItemScores& each : scores) {
    RETURN_IF_ERROR(CheckValues(each, items));
    v1::TaskMetric* metric = report->add_metrics();
    metric->set_name(each.name);
    metric->set_higher_is_better(each.higher_is_better);
    *metric->mutable_item_values() = {each.values.begin(), each.values.end()};
    if (each.of_items) {
      RETURN_IF_ERROR(FillCorpusValue(each, all, groups, metric));
    } else if (of_subsets) {
      RETURN_IF_ERROR(
          FillMeanOfSubsets(each, SubsetsOf(items, 0), clusters, metric));
    } else {
      RETURN_IF_ERROR(FillMean(each, clusters, metric));
    }
  }
  for (size_t key = 0; key < task.subsets.size(); ++key) {
    for (const auto& [value, own] : SubsetsOf(items, key)) {
      v1::TaskSubset* subset = report->add_subsets();
      subset->set_key(task.subsets[key]);
      subset->set_value(value);
      subset->set_item_count(own.size());
      for (const ItemScores& each : scores) {
        subset->add_values(ValueOf(each, own));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace quantd
