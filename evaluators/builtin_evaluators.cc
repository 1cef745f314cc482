#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "evaluators/attribution.h"
#include "evaluators/divergence.h"
#include "evaluators/efficiency.h"
#include "evaluators/evaluator.h"
#include "evaluators/perplexity.h"
#include "models/json_text.h"

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

// A family that is a measurement of its own.
struct MeasurementRow {
  absl::string_view family;
  MetricKind kind;
  absl::Status (*check)(absl::string_view parameters);
  std::vector<v1::MetricInfo> (*metrics)();
};

constexpr MeasurementRow kMeasurements[] = {
    {"efficiency", MetricKind::kEfficiency,
     [](absl::string_view parameters) {
       return ParseEfficiency(parameters).status();
     },
     EfficiencyMetrics},
    {"attribution", MetricKind::kAttribution,
     [](absl::string_view parameters) {
       return ParseAttribution(parameters, {}).status();
     },
     AttributionMetrics},
};

// The row of a metric in a table, or null; and what stands behind the slash.
template <typename Row, size_t kRows>
const Row* FindRow(const Row (&rows)[kRows], absl::string_view metric,
                   absl::string_view* parameters) {
  const size_t slash = metric.find('/');
  if (slash == absl::string_view::npos) return nullptr;
  *parameters = metric.substr(slash + 1);
  for (const Row& row : rows) {
    if (metric.substr(0, slash) == row.family) return &row;
  }
  return nullptr;
}

absl::Status UnknownMetric(absl::string_view metric) {
  std::vector<std::string> patterns;
  for (const v1::MetricInfo& info : KnownMetrics()) {
    patterns.push_back(info.pattern());
  }
  return absl::InvalidArgumentError(
      absl::StrCat("metric ", Quoted(metric), " is not one of ",
                   absl::StrJoin(patterns, ", ")));
}

template <typename Rows>
std::vector<v1::MetricInfo> MetricsOf(const Rows& rows) {
  std::vector<v1::MetricInfo> metrics;
  for (const auto& row : rows) {
    std::vector<v1::MetricInfo> own = row.metrics();
    std::move(own.begin(), own.end(), std::back_inserter(metrics));
  }
  return metrics;
}

bool IsOfKind(absl::string_view metric, MetricKind kind) {
  const absl::StatusOr<MetricKind> own = KindOfMetric(metric);
  return own.ok() && *own == kind;
}

}  // namespace

absl::Status Evaluator::Fold(size_t, absl::Span<const TokenScore>) {
  return absl::InternalError("this metric compares two models");
}

absl::Status Evaluator::FoldPair(size_t, absl::Span<const TargetDivergence>) {
  return absl::InternalError("this metric is of one model");
}

absl::StatusOr<MetricKind> KindOfMetric(absl::string_view metric) {
  absl::string_view parameters;
  if (const auto* row = FindRow(kMeasurements, metric, &parameters)) {
    RETURN_IF_ERROR(row->check(parameters));
    return row->kind;
  }
  RETURN_IF_ERROR(NewEvaluator(metric).status());
  return MetricKind::kScored;
}

absl::StatusOr<std::unique_ptr<Evaluator>> NewEvaluator(
    absl::string_view metric, const EvaluatorOptions& options) {
  absl::string_view parameters;
  if (const auto* row = FindRow(kEvaluators, metric, &parameters)) {
    return row->make(parameters, options);
  }
  return UnknownMetric(metric);
}

std::vector<std::string> MetricsToRun(const MetricNames& metrics,
                                      MetricKind kind) {
  const auto asked = [&](absl::string_view family, absl::string_view rest) {
    return std::find(metrics.begin(), metrics.end(),
                     absl::StrCat(family, "/", rest)) != metrics.end();
  };
  std::vector<std::string> run;
  for (const std::string& metric : metrics) {
    absl::string_view parameters;
    const auto* row = FindRow(kEvaluators, metric, &parameters);
    if (row != nullptr && !row->covered_by.empty() &&
        asked(row->covered_by, parameters)) {
      continue;
    }
    const auto* measurement = FindRow(kMeasurements, metric, &parameters);
    const MetricKind own =
        measurement != nullptr ? measurement->kind : MetricKind::kScored;
    if (own == kind && std::find(run.begin(), run.end(), metric) == run.end()) {
      run.push_back(metric);
    }
  }
  return run;
}

bool AnyNeedsText(const MetricNames& metrics) {
  return std::any_of(metrics.begin(), metrics.end(),
                     [](const std::string& metric) {
                       return IsOfKind(metric, MetricKind::kScored) ||
                              IsOfKind(metric, MetricKind::kAttribution);
                     });
}

bool AnyCompares(const MetricNames& metrics) {
  return std::any_of(metrics.begin(), metrics.end(),
                     [](const std::string& metric) {
                       const auto evaluator = NewEvaluator(metric);
                       return (evaluator.ok() && (*evaluator)->compares()) ||
                              IsOfKind(metric, MetricKind::kAttribution);
                     });
}

bool AnyTakesBaseline(const MetricNames& metrics) {
  return AnyCompares(metrics) ||
         std::any_of(metrics.begin(), metrics.end(),
                     [](const std::string& metric) {
                       return IsOfKind(metric, MetricKind::kEfficiency);
                     });
}

std::vector<v1::MetricInfo> KnownMetrics() {
  std::vector<v1::MetricInfo> metrics = ScoredMetrics();
  std::vector<v1::MetricInfo> others = MetricsOf(kMeasurements);
  std::move(others.begin(), others.end(), std::back_inserter(metrics));
  return metrics;
}

std::vector<v1::MetricInfo> ScoredMetrics() { return MetricsOf(kEvaluators); }

}  // namespace quantd
