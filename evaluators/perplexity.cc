#include "evaluators/perplexity.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "evaluators/perplexity_convention.h"

namespace quantd {
namespace {

constexpr int kMinWindow = 8;
constexpr int kMaxWindow = 1 << 20;

class PerplexityEvaluator final : public Evaluator {
 public:
  PerplexityEvaluator(const PerplexityConvention* convention, int window,
                      const EvaluatorOptions& options)
      : convention_(*convention), window_(window), options_(options) {}

  WindowShape Shape() const override {
    return {window_, static_cast<int64_t>(options_.max_windows)};
  }

  absl::StatusOr<std::vector<ScoreRequest>> Requests(
      absl::string_view text, const Tokenizer& tokenizer) override {
    const std::string prepared = convention_.prepare(text);
    ASSIGN_OR_RETURN(const std::vector<int32_t> tokens,
                     tokenizer.EncodeWithBos(prepared));
    const std::optional<int32_t> bos = tokenizer.leading_id();

    size_t windows = tokens.size() / static_cast<size_t>(window_);
    if (windows < static_cast<size_t>(convention_.min_windows)) {
      return absl::InvalidArgumentError(absl::StrCat(
          name(), ": the text has ", tokens.size(), " tokens, at least ",
          window_ * convention_.min_windows, " are needed"));
    }
    if (options_.max_windows > 0) {
      windows = std::min<size_t>(windows, options_.max_windows);
    }
    tag_.set_convention(
        options_.max_windows > 0
            ? absl::StrCat(name(), "/first-", options_.max_windows)
            : name());
    tag_.set_window_tokens(static_cast<uint32_t>(window_));
    tag_.set_text_digest(Sha256Hex(prepared));
    tag_.set_token_count(tokens.size());
    tag_.set_tokenizer_digest(tokenizer.digest());
    tag_.set_bos_policy(!bos ? "none"
                        : convention_.bos == BosPlacement::kStart
                            ? "start"
                            : "every-window");

    std::vector<ScoreRequest> requests(windows);
    for (size_t w = 0; w < windows; ++w) {
      ScoreRequest& request = requests[w];
      const auto begin =
          tokens.begin() + static_cast<std::ptrdiff_t>(w) * window_;
      request.tokens.assign(begin, begin + window_);
      if (bos && convention_.bos == BosPlacement::kEveryWindow) {
        request.tokens[0] = *bos;
      }
      request.first_target = convention_.first_target(window_);
      request.target_count = window_ - request.first_target;
    }
    windows_.assign(windows, WindowSums());
    return requests;
  }

  absl::Status Fold(size_t index, absl::Span<const double> nll) override {
    WindowSums& window = windows_[index];
    for (double value : nll) {
      ++window.count;
      window.sum += value;
      window.sum_of_squares += value * value;
    }
    return absl::OkStatus();
  }

  absl::Status Report(v1::Evaluation* evaluation) const override {
    ASSIGN_OR_RETURN(const PerplexityEstimate estimate,
                     Annotate(EstimatePerplexity(windows_), name()));
    v1::PerplexityReport& report = *evaluation->add_perplexities();
    *report.mutable_tag() = tag_;
    report.set_perplexity(estimate.perplexity);
    report.set_error_iid(estimate.error_iid);
    report.set_error_clustered(estimate.error_clustered);
    report.set_window_count(windows_.size());
    report.set_scored_tokens(estimate.tokens);
    report.set_mean_nll(estimate.mean_nll);
    report.set_tokens_per_window(
        static_cast<uint32_t>(window_ - convention_.first_target(window_)));
    for (const WindowSums& window : windows_) {
      report.add_window_nll(window.sum / static_cast<double>(window.count));
    }
    return absl::OkStatus();
  }

 private:
  std::string name() const {
    return absl::StrCat("ppl/", convention_.name, "-", window_);
  }

  const PerplexityConvention& convention_;
  const int window_;
  const EvaluatorOptions options_;
  v1::PerplexityTag tag_;
  std::vector<WindowSums> windows_;
};

}  // namespace

absl::StatusOr<PerplexityEstimate> EstimatePerplexity(
    absl::Span<const WindowSums> windows) {
  PerplexityEstimate estimate;
  double sum = 0;
  double squares = 0;
  for (const WindowSums& window : windows) {
    estimate.tokens += window.count;
    sum += window.sum;
    squares += window.sum_of_squares;
  }
  const double n = static_cast<double>(estimate.tokens);
  const double m = sum / n;
  estimate.mean_nll = m;
  estimate.perplexity = std::exp(m);
  if (!std::isfinite(squares) || !std::isfinite(estimate.perplexity)) {
    return absl::InternalError(
        "the model gives NaN or infinite log-likelihoods");
  }
  if (estimate.tokens > 1) {
    // Rounding may leave a tiny negative variance for constant values.
    const double variance = std::max(0.0, squares / n - m * m);
    estimate.error_iid = estimate.perplexity * std::sqrt(variance / (n - 1));
  }
  if (windows.size() > 1) {
    double clusters = 0;
    for (const WindowSums& window : windows) {
      const double d = window.sum - m * static_cast<double>(window.count);
      clusters += d * d;
    }
    const double w = static_cast<double>(windows.size());
    estimate.error_clustered =
        estimate.perplexity * std::sqrt(clusters) / n * std::sqrt(w / (w - 1));
  }
  return estimate;
}

absl::StatusOr<std::unique_ptr<Evaluator>> NewPerplexityEvaluator(
    absl::string_view parameters, const EvaluatorOptions& options) {
  std::vector<std::string> patterns;
  for (const PerplexityConvention& convention : PerplexityConventions()) {
    patterns.push_back(absl::StrCat("ppl/", convention.name, "-N"));
    absl::string_view rest = parameters;
    if (rest.substr(0, convention.name.size()) != convention.name) continue;
    rest.remove_prefix(convention.name.size());
    if (rest.empty() || rest[0] != '-') continue;
    int window = 0;
    if (!absl::SimpleAtoi(rest.substr(1), &window) || window < kMinWindow ||
        window > kMaxWindow) {
      return absl::InvalidArgumentError(absl::StrCat(
          "metric ppl/", parameters, ": the window must be a number in ",
          kMinWindow, "..", kMaxWindow));
    }
    return std::unique_ptr<Evaluator>(
        std::make_unique<PerplexityEvaluator>(&convention, window, options));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("metric ppl/", parameters, " is not one of ",
                   absl::StrJoin(patterns, ", "), " (N = window)"));
}

std::vector<v1::MetricInfo> PerplexityMetrics() {
  std::vector<v1::MetricInfo> metrics;
  for (const PerplexityConvention& convention : PerplexityConventions()) {
    v1::MetricInfo info;
    info.set_pattern(absl::StrCat("ppl/", convention.name, "-N"));
    info.set_help(std::string(convention.help));
    info.set_citation(std::string(convention.citation));
    metrics.push_back(std::move(info));
  }
  return metrics;
}

}  // namespace quantd
