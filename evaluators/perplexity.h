// Perplexity under one of the conventions of perplexity_convention.h, with the
// two standard errors of the mean NLL (token_statistics.h) times the perplexity
// (delta method).
#ifndef QUANTD_EVALUATORS_PERPLEXITY_H_
#define QUANTD_EVALUATORS_PERPLEXITY_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "evaluators/evaluator.h"
#include "evaluators/token_statistics.h"

namespace quantd {

struct PerplexityEstimate {
  double mean_nll = 0;
  double perplexity = 0;
  double error_iid = 0;        // 0 when there is one token
  double error_clustered = 0;  // 0 when there is one window
  uint64_t tokens = 0;
};

// REQUIRES: at least one token. Internal when a sum is NaN or infinite.
absl::StatusOr<PerplexityEstimate> EstimatePerplexity(
    absl::Span<const WindowSums> windows);

// The same with its tag and the mean of every window. REQUIRES: as many tokens
// in every window.
absl::StatusOr<v1::PerplexityReport> MakePerplexityReport(
    const v1::PerplexityTag& tag, absl::Span<const WindowSums> windows);

// `parameters` is the metric behind "ppl/": "gptq-512".
absl::StatusOr<std::unique_ptr<Evaluator>> NewPerplexityEvaluator(
    absl::string_view parameters, const EvaluatorOptions& options);

// One row per convention.
std::vector<v1::MetricInfo> PerplexityMetrics();

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_PERPLEXITY_H_
