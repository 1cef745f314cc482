// Perplexity under one of the conventions of perplexity_convention.h, with two
// standard errors: those of the mean NLL (token_statistics.h) times the
// perplexity (delta method). Where the convention counts words and bytes, also
// per word and per byte (v1::UncertainValue).
//
// A convention may weigh a cluster's tokens otherwise than by their number
// (hf-stride does). With c_t the weight of token t, the same for all tokens of
// a cluster, C their sum and m the weighted mean:
//   iid        sqrt(n / (n - 1) * sum_t c_t^2 (x_t - m)^2) / C
//   clustered  cluster_ratio.h, of weighted sums over weights
// which for equal weights is what token_statistics.h says.
#ifndef QUANTD_EVALUATORS_PERPLEXITY_H_
#define QUANTD_EVALUATORS_PERPLEXITY_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "evaluators/evaluator.h"
#include "evaluators/text_windows.h"
#include "evaluators/token_statistics.h"

namespace quantd {

struct PerplexityEstimate {
  double mean_nll = 0;
  double perplexity = 0;
  double error_iid = 0;        // 0 when there is one token
  double error_clustered = 0;  // 0 when there is one cluster
  uint64_t tokens = 0;
};

// Sums of every cluster, from those of its windows. REQUIRES: as many windows
// as the clusters have together.
std::vector<WindowSums> ClusterSums(absl::Span<const TextCluster> clusters,
                                    absl::Span<const WindowSums> windows);

// The mean over the tokens of clusters, each weighted as its cluster says.
// REQUIRES: as many sums as clusters, a positive weight, and a value in every
// cluster that has one.
v1::Estimate EstimateWeightedMean(absl::Span<const TextCluster> clusters,
                                  absl::Span<const WindowSums> sums);

// The same of NLLs. Internal when a sum is NaN or infinite.
absl::StatusOr<PerplexityEstimate> EstimatePerplexity(
    absl::Span<const TextCluster> clusters, absl::Span<const WindowSums> sums);

// The same with its tag, the mean of every cluster and, where the clusters have
// them, words and bytes. REQUIRES: as ClusterSums() and EstimateWeightedMean().
absl::StatusOr<v1::PerplexityReport> MakePerplexityReport(
    const v1::PerplexityTag& tag, absl::Span<const TextCluster> clusters,
    absl::Span<const WindowSums> windows);

// `parameters` is the metric behind "ppl/": "gptq-512".
absl::StatusOr<std::unique_ptr<Evaluator>> NewPerplexityEvaluator(
    absl::string_view parameters, const EvaluatorOptions& options);

// One row per convention.
std::vector<v1::MetricInfo> PerplexityMetrics();

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_PERPLEXITY_H_
