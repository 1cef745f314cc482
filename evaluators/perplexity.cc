#include "evaluators/perplexity.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/status_macros.h"
#include "evaluators/cluster_ratio.h"
#include "evaluators/convention_windows.h"

namespace quantd {
namespace {

class PerplexityEvaluator final : public Evaluator {
 public:
  explicit PerplexityEvaluator(ConventionWindows convention)
      : convention_(std::move(convention)) {}

  absl::StatusOr<WindowShape> Shape(int64_t context_tokens) const override {
    return convention_.Shape(context_tokens);
  }

  absl::StatusOr<std::vector<ScoreRequest>> Requests(
      absl::string_view text, const ModelContext& model) override {
    ASSIGN_OR_RETURN(std::vector<ScoreRequest> requests,
                     convention_.Requests(text, model));
    windows_.assign(requests.size(), WindowSums());
    return requests;
  }

  absl::Status Fold(size_t index,
                    absl::Span<const TokenScore> scores) override {
    WindowSums& window = windows_[index];
    for (const TokenScore& score : scores) window.Add(score.nll);
    return absl::OkStatus();
  }

  absl::Status Report(v1::Evaluation* evaluation) const override {
    ASSIGN_OR_RETURN(
        *evaluation->add_perplexities(),
        Annotate(MakePerplexityReport(convention_.tag(), convention_.clusters(),
                                      windows_),
                 "ppl/", convention_.name()));
    return absl::OkStatus();
  }

 private:
  ConventionWindows convention_;
  std::vector<WindowSums> windows_;
};

// Whether every token weighs the same, be it in a cluster without any.
bool WeighedByTokens(absl::Span<const TextCluster> clusters,
                     absl::Span<const WindowSums> sums) {
  for (size_t w = 0; w < sums.size(); ++w) {
    if (clusters[w].weight != sums[w].count) return false;
  }
  return true;
}

double MeanOf(const WindowSums& sums) {
  return sums.count > 0 ? sums.sum / static_cast<double>(sums.count) : 0;
}

// The NLL of all tokens over `units` of every cluster.
ClusterRatio NllPer(uint64_t TextCluster::*units,
                    absl::Span<const TextCluster> clusters,
                    absl::Span<const WindowSums> sums) {
  std::vector<double> numerators, denominators;
  for (size_t w = 0; w < sums.size(); ++w) {
    numerators.push_back(sums[w].sum);
    denominators.push_back(static_cast<double>(clusters[w].*units));
  }
  return RatioOfSums(numerators, denominators);
}

// The error of a ratio whose denominator and number of tokens are given:
// `nll_error` is that of a token's mean.
double IidError(double nll_error, uint64_t tokens, uint64_t units) {
  return nll_error * static_cast<double>(tokens) / static_cast<double>(units);
}

bool IsFinite(const v1::UncertainValue& value) {
  return std::isfinite(value.value()) && std::isfinite(value.error_iid()) &&
         std::isfinite(value.error_clustered());
}

v1::UncertainValue ExpOf(const ClusterRatio& ratio, double iid_error) {
  const double value = std::exp(ratio.value);
  v1::UncertainValue out;
  out.set_value(value);
  out.set_error_iid(value * iid_error);
  out.set_error_clustered(value * ratio.error);
  return out;
}

void AddWordsAndBytes(absl::Span<const TextCluster> clusters,
                      absl::Span<const WindowSums> sums,
                      const PerplexityEstimate& estimate,
                      v1::PerplexityReport* report) {
  uint64_t words = 0, bytes = 0;
  for (const TextCluster& cluster : clusters) {
    words += cluster.words;
    bytes += cluster.bytes;
  }
  if (words == 0 || bytes == 0) return;
  for (const TextCluster& cluster : clusters) {
    report->add_cluster_words(cluster.words);
    report->add_cluster_bytes(cluster.bytes);
  }
  const double nll_error = estimate.error_iid / estimate.perplexity;
  const v1::UncertainValue word =
      ExpOf(NllPer(&TextCluster::words, clusters, sums),
            IidError(nll_error, estimate.tokens, words));
  // Words of hundreds of nats, which no language has, exceed a double.
  if (IsFinite(word)) *report->mutable_word_perplexity() = word;
  const ClusterRatio per_byte = NllPer(&TextCluster::bytes, clusters, sums);
  const double iid = IidError(nll_error, estimate.tokens, bytes);
  const v1::UncertainValue byte = ExpOf(per_byte, iid);
  if (IsFinite(byte)) *report->mutable_byte_perplexity() = byte;
  const double ln2 = std::log(2.0);
  v1::UncertainValue& bits = *report->mutable_bits_per_byte();
  bits.set_value(per_byte.value / ln2);
  bits.set_error_iid(iid / ln2);
  bits.set_error_clustered(per_byte.error / ln2);
}

}  // namespace

std::vector<WindowSums> ClusterSums(absl::Span<const TextCluster> clusters,
                                    absl::Span<const WindowSums> windows) {
  std::vector<WindowSums> sums(clusters.size());
  size_t window = 0;
  for (size_t c = 0; c < clusters.size(); ++c) {
    for (size_t i = 0; i < clusters[c].windows; ++i, ++window) {
      sums[c].count += windows[window].count;
      sums[c].sum += windows[window].sum;
      sums[c].sum_of_squares += windows[window].sum_of_squares;
    }
  }
  return sums;
}

v1::Estimate EstimateWeightedMean(absl::Span<const TextCluster> clusters,
                                  absl::Span<const WindowSums> sums) {
  if (WeighedByTokens(clusters, sums)) return EstimateMean(sums);
  std::vector<double> numerators, denominators;
  double n = 0;
  for (size_t w = 0; w < sums.size(); ++w) {
    const double weight = static_cast<double>(clusters[w].weight);
    numerators.push_back(weight * MeanOf(sums[w]));
    denominators.push_back(weight);
    n += static_cast<double>(sums[w].count);
  }
  const ClusterRatio mean = RatioOfSums(numerators, denominators);
  double squares = 0, total = 0;
  for (size_t w = 0; w < sums.size(); ++w) {
    if (sums[w].count == 0) continue;
    const double count = static_cast<double>(sums[w].count);
    const double c = denominators[w] / count;
    // Rounding may leave a tiny negative sum for constant values.
    squares +=
        c * c *
        std::max(0.0, sums[w].sum_of_squares - 2 * mean.value * sums[w].sum +
                          count * mean.value * mean.value);
    total += denominators[w];
  }
  v1::Estimate estimate;
  estimate.set_mean(mean.value);
  estimate.set_error_iid(n > 1 ? std::sqrt(squares * n / (n - 1)) / total : 0);
  estimate.set_error_clustered(mean.error);
  return estimate;
}

absl::StatusOr<PerplexityEstimate> EstimatePerplexity(
    absl::Span<const TextCluster> clusters, absl::Span<const WindowSums> sums) {
  PerplexityEstimate estimate;
  double sum_of_all = 0;
  for (const WindowSums& window : sums) {
    estimate.tokens += window.count;
    sum_of_all += window.sum;
  }
  const v1::Estimate mean = EstimateWeightedMean(clusters, sums);
  estimate.mean_nll = mean.mean();
  estimate.perplexity = std::exp(mean.mean());
  // A token that weighs nothing has to be finite as well.
  if (!std::isfinite(sum_of_all) || !std::isfinite(mean.error_iid()) ||
      !std::isfinite(estimate.perplexity)) {
    return absl::InternalError(
        "the model gives NaN or infinite log-likelihoods");
  }
  estimate.error_iid = estimate.perplexity * mean.error_iid();
  estimate.error_clustered = estimate.perplexity * mean.error_clustered();
  return estimate;
}

absl::StatusOr<v1::PerplexityReport> MakePerplexityReport(
    const v1::PerplexityTag& tag, absl::Span<const TextCluster> clusters,
    absl::Span<const WindowSums> windows) {
  const std::vector<WindowSums> sums = ClusterSums(clusters, windows);
  ASSIGN_OR_RETURN(const PerplexityEstimate estimate,
                   EstimatePerplexity(clusters, sums));
  v1::PerplexityReport report;
  *report.mutable_tag() = tag;
  report.set_perplexity(estimate.perplexity);
  report.set_error_iid(estimate.error_iid);
  report.set_error_clustered(estimate.error_clustered);
  report.set_window_count(windows.size());
  report.set_scored_tokens(estimate.tokens);
  report.set_mean_nll(estimate.mean_nll);
  bool equal = true;
  for (const WindowSums& cluster : sums) {
    report.add_window_nll(MeanOf(cluster));
    equal = equal && cluster.count == sums[0].count;
  }
  if (equal) {
    report.set_tokens_per_window(static_cast<uint32_t>(sums[0].count));
  } else {
    for (const WindowSums& cluster : sums) {
      report.add_cluster_tokens(static_cast<uint32_t>(cluster.count));
    }
  }
  if (!WeighedByTokens(clusters, sums)) {
    for (const TextCluster& cluster : clusters) {
      report.add_cluster_weights(static_cast<uint32_t>(cluster.weight));
    }
  }
  AddWordsAndBytes(clusters, sums, estimate, &report);
  return report;
}

absl::StatusOr<std::unique_ptr<Evaluator>> NewPerplexityEvaluator(
    absl::string_view parameters, const EvaluatorOptions& options) {
  ASSIGN_OR_RETURN(ConventionWindows convention,
                   ConventionWindows::Parse("ppl", parameters, options));
  return std::unique_ptr<Evaluator>(
      std::make_unique<PerplexityEvaluator>(std::move(convention)));
}

std::vector<v1::MetricInfo> PerplexityMetrics() {
  return ConventionMetrics("ppl", "", "");
}

}  // namespace quantd
