// Perplexity under one of the conventions of perplexity_convention.h, with two
// standard errors by the delta method (m = mean NLL over n tokens in W
// windows):
//   iid        ppl * sqrt((E[NLL^2] - m^2) / (n - 1))
//   clustered  ppl * sqrt(sum_w (sum_{t in w} (NLL_t - m))^2) / n
//                  * sqrt(W / (W - 1))
#ifndef QUANTD_EVALUATORS_PERPLEXITY_H_
#define QUANTD_EVALUATORS_PERPLEXITY_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "evaluators/evaluator.h"

namespace quantd {

// Sums of one window's negative log-likelihoods.
struct WindowSums {
  uint64_t count = 0;
  double sum = 0;
  double sum_of_squares = 0;
};

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

// `parameters` is the metric behind "ppl/": "gptq-512".
absl::StatusOr<std::unique_ptr<Evaluator>> NewPerplexityEvaluator(
    absl::string_view parameters, const EvaluatorOptions& options);

// One row per convention.
std::vector<v1::MetricInfo> PerplexityMetrics();

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_PERPLEXITY_H_
