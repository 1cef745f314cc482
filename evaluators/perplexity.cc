#include "evaluators/perplexity.h"

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "evaluators/convention_windows.h"

namespace quantd {
namespace {

class PerplexityEvaluator final : public Evaluator {
 public:
  explicit PerplexityEvaluator(ConventionWindows convention)
      : convention_(std::move(convention)) {}

  WindowShape Shape() const override { return convention_.Shape(); }

  absl::StatusOr<std::vector<ScoreRequest>> Requests(
      absl::string_view text, const Tokenizer& tokenizer) override {
    ASSIGN_OR_RETURN(std::vector<ScoreRequest> requests,
                     convention_.Requests(text, tokenizer));
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
    ASSIGN_OR_RETURN(*evaluation->add_perplexities(),
                     Annotate(MakePerplexityReport(convention_.tag(), windows_),
                              "ppl/", convention_.name()));
    return absl::OkStatus();
  }

 private:
  ConventionWindows convention_;
  std::vector<WindowSums> windows_;
};

}  // namespace

absl::StatusOr<PerplexityEstimate> EstimatePerplexity(
    absl::Span<const WindowSums> windows) {
  PerplexityEstimate estimate;
  for (const WindowSums& window : windows) estimate.tokens += window.count;
  const v1::Estimate mean = EstimateMean(windows);
  estimate.mean_nll = mean.mean();
  estimate.perplexity = std::exp(mean.mean());
  if (!std::isfinite(mean.error_iid()) || !std::isfinite(estimate.perplexity)) {
    return absl::InternalError(
        "the model gives NaN or infinite log-likelihoods");
  }
  estimate.error_iid = estimate.perplexity * mean.error_iid();
  estimate.error_clustered = estimate.perplexity * mean.error_clustered();
  return estimate;
}

absl::StatusOr<v1::PerplexityReport> MakePerplexityReport(
    const v1::PerplexityTag& tag, absl::Span<const WindowSums> windows) {
  ASSIGN_OR_RETURN(const PerplexityEstimate estimate,
                   EstimatePerplexity(windows));
  v1::PerplexityReport report;
  *report.mutable_tag() = tag;
  report.set_perplexity(estimate.perplexity);
  report.set_error_iid(estimate.error_iid);
  report.set_error_clustered(estimate.error_clustered);
  report.set_window_count(windows.size());
  report.set_scored_tokens(estimate.tokens);
  report.set_mean_nll(estimate.mean_nll);
  report.set_tokens_per_window(static_cast<uint32_t>(windows[0].count));
  for (const WindowSums& window : windows) {
    report.add_window_nll(window.sum / static_cast<double>(window.count));
  }
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
