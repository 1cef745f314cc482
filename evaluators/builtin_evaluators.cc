#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "evaluators/evaluator.h"
#include "evaluators/perplexity.h"

namespace quantd {
namespace {

// A family of metrics: what stands before the first "/" of the name.
struct EvaluatorRow {
  absl::string_view family;
  absl::StatusOr<std::unique_ptr<Evaluator>> (*make)(
      absl::string_view parameters, const EvaluatorOptions& options);
  std::vector<v1::MetricInfo> (*metrics)();
};

constexpr EvaluatorRow kEvaluators[] = {
    {"ppl", NewPerplexityEvaluator, PerplexityMetrics},
};

}  // namespace

absl::StatusOr<std::unique_ptr<Evaluator>> NewEvaluator(
    absl::string_view metric, const EvaluatorOptions& options) {
  const size_t slash = metric.find('/');
  if (slash != absl::string_view::npos) {
    for (const EvaluatorRow& row : kEvaluators) {
      if (metric.substr(0, slash) == row.family) {
        return row.make(metric.substr(slash + 1), options);
      }
    }
  }
  std::vector<std::string> patterns;
  for (const v1::MetricInfo& info : KnownMetrics()) {
    patterns.push_back(info.pattern());
  }
  return absl::InvalidArgumentError(
      absl::StrCat("metric \"", metric.substr(0, 64), "\" is not one of ",
                   absl::StrJoin(patterns, ", ")));
}

std::vector<v1::MetricInfo> KnownMetrics() {
  std::vector<v1::MetricInfo> metrics;
  for (const EvaluatorRow& row : kEvaluators) {
    std::vector<v1::MetricInfo> own = row.metrics();
    std::move(own.begin(), own.end(), std::back_inserter(metrics));
  }
  return metrics;
}

}  // namespace quantd
