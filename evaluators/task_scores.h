// From scores of items to the report of a task: means with their errors, scores
// of subsets, intervals.
//
// Plain data and free functions: thread-safe.
#ifndef QUANTD_EVALUATORS_TASK_SCORES_H_
#define QUANTD_EVALUATORS_TASK_SCORES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "evaluators/tasks/task_definition.h"
#include "evaluators/tasks/task_item.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

// One metric of a task over its items.
struct ItemScores {
  std::string name;
  // By item, in the unit of the metric or, with `of_mean`, in that of what it
  // is made from.
  std::vector<double> values;
  bool higher_is_better = true;
  // 0 or 1 for every item but for shared ties: an interval of Wilson's is
  // given.
  bool is_share = false;
  // What the metric makes of the mean of its values ("perplexity": exp of the
  // mean negative log-likelihood), with its derivative for the errors. Null:
  // the mean itself.
  double (*of_mean)(double mean) = nullptr;
  double (*slope)(double mean) = nullptr;
  // The metric of a whole corpus from some of its items; empty: of_mean of
  // their mean. Its errors come from bootstraps over items and, where the task
  // has clusters, over those, which also give the interval; unless a sample
  // drawn with replacement says nothing of it (distinct n-grams): then it has
  // none.
  std::function<double(absl::Span<const uint32_t> items)> of_items;
  bool bootstraps = true;
};

// Numbers of the items' clusters in the order of their first items; empty where
// the task names none.
std::vector<uint32_t> ClustersOf(absl::Span<const TaskItem> items);

// Moves those that the task's metric_list names to the front, in its order: the
// first is what the task is quoted by.
void OrderByTask(const TaskDefinition& task, std::vector<ItemScores>* scores);

// Fills item_count, cluster_count, item_cluster, metrics and subsets.
// InvalidArgument for fewer than two items: there is no error to give;
// Internal when a value is not finite.
absl::Status FillScores(const TaskDefinition& task,
                        absl::Span<const TaskItem> items,
                        absl::Span<const ItemScores> scores,
                        v1::TaskReport* report);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASK_SCORES_H_
