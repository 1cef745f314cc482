#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "evaluators/divergence.h"
#include "evaluators/evaluator.h"
#include "evaluators/perplexity.h"

namespace quantd {
namespace {

// A family of metrics: what stands before the first "/" of the name.
struct EvaluatorRow {
  absl::string_view family;
  // The family that reports the same number beside its own; may be empty.
  absl::string_view covered_by;
  absl::StatusOr<std::unique_ptr<Evaluator>> (*make)(
      absl::string_view parameters, const EvaluatorOptions& options);
  std::vector<v1::MetricInfo> (*metrics)();
};

constexpr EvaluatorRow kEvaluators[] = {
    {"ppl", "divergence", NewPerplexityEvaluator, PerplexityMetrics},
    {"divergence", "", NewDivergenceEvaluator, DivergenceMetrics},
};

// The row of a metric, or null; and what stands behind the slash.
const EvaluatorRow* FindRow(absl::string_view metric,
                            absl::string_view* parameters) {
  const size_t slash = metric.find('/');
  if (slash == absl::string_view::npos) return nullptr;
  *parameters = metric.substr(slash + 1);
  for (const EvaluatorRow& row : kEvaluators) {
    if (metric.substr(0, slash) == row.family) return &row;
  }
  return nullptr;
}

}  // namespace

absl::Status Evaluator::Fold(size_t, absl::Span<const TokenScore>) {
  return absl::InternalError("this metric compares two models");
}

absl::Status Evaluator::FoldPair(size_t, absl::Span<const TargetDivergence>) {
  return absl::InternalError("this metric is of one model");
}

absl::StatusOr<std::unique_ptr<Evaluator>> NewEvaluator(
    absl::string_view metric, const EvaluatorOptions& options) {
  absl::string_view parameters;
  if (const EvaluatorRow* row = FindRow(metric, &parameters)) {
    return row->make(parameters, options);
  }
  std::vector<std::string> patterns;
  for (const v1::MetricInfo& info : KnownMetrics()) {
    patterns.push_back(info.pattern());
  }
  return absl::InvalidArgumentError(
      absl::StrCat("metric \"", metric.substr(0, 64), "\" is not one of ",
                   absl::StrJoin(patterns, ", ")));
}

std::vector<std::string> MetricsToRun(const MetricNames& metrics) {
  const auto asked = [&](absl::string_view family, absl::string_view rest) {
    return std::find(metrics.begin(), metrics.end(),
                     absl::StrCat(family, "/", rest)) != metrics.end();
  };
  std::vector<std::string> run;
  for (const std::string& metric : metrics) {
    absl::string_view parameters;
    const EvaluatorRow* row = FindRow(metric, &parameters);
    if (row != nullptr && !row->covered_by.empty() &&
        asked(row->covered_by, parameters)) {
      continue;
    }
    if (std::find(run.begin(), run.end(), metric) == run.end()) {
      run.push_back(metric);
    }
  }
  return run;
}

bool AnyCompares(const MetricNames& metrics) {
  return std::any_of(metrics.begin(), metrics.end(),
                     [](const std::string& metric) {
                       const auto evaluator = NewEvaluator(metric);
                       return evaluator.ok() && (*evaluator)->compares();
                     });
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
