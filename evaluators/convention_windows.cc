#include "evaluators/convention_windows.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

constexpr int kMinWindow = 8;
constexpr int kMaxWindow = 1 << 20;

}  // namespace

absl::StatusOr<ConventionWindows> ConventionWindows::Parse(
    absl::string_view family, absl::string_view parameters,
    const EvaluatorOptions& options) {
  std::vector<std::string> patterns;
  for (const PerplexityConvention& convention : PerplexityConventions()) {
    patterns.push_back(absl::StrCat(family, "/", convention.name, "-N"));
    absl::string_view rest = parameters;
    if (rest.substr(0, convention.name.size()) != convention.name) continue;
    rest.remove_prefix(convention.name.size());
    if (rest.empty() || rest[0] != '-') continue;
    int window = 0;
    if (!absl::SimpleAtoi(rest.substr(1), &window) || window < kMinWindow ||
        window > kMaxWindow) {
      return absl::InvalidArgumentError(absl::StrCat(
          "metric ", family, "/", parameters,
          ": the window must be a number in ", kMinWindow, "..", kMaxWindow));
    }
    return ConventionWindows(family, &convention, window, options);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("metric ", family, "/", parameters, " is not one of ",
                   absl::StrJoin(patterns, ", "), " (N = window)"));
}

absl::StatusOr<std::vector<ScoreRequest>> ConventionWindows::Requests(
    absl::string_view text, const Tokenizer& tokenizer) {
  const std::string prepared = convention_->prepare(text);
  ASSIGN_OR_RETURN(const std::vector<int32_t> tokens,
                   tokenizer.EncodeWithBos(prepared));
  const std::optional<int32_t> bos = tokenizer.leading_id();

  size_t windows = tokens.size() / static_cast<size_t>(window_);
  if (windows < static_cast<size_t>(convention_->min_windows)) {
    return absl::InvalidArgumentError(
        absl::StrCat(family_, "/", convention_->name, "-", window_,
                     ": the text has ", tokens.size(), " tokens, at least ",
                     window_ * convention_->min_windows, " are needed"));
  }
  if (options_.max_windows > 0) {
    windows = std::min<size_t>(windows, options_.max_windows);
  }
  tag_.set_convention(absl::StrCat("ppl/", name()));
  tag_.set_window_tokens(static_cast<uint32_t>(window_));
  tag_.set_text_digest(Sha256Hex(prepared));
  tag_.set_token_count(tokens.size());
  tag_.set_tokenizer_digest(tokenizer.digest());
  tag_.set_bos_policy(!bos ? "none"
                      : convention_->bos == BosPlacement::kStart
                          ? "start"
                          : "every-window");

  std::vector<ScoreRequest> requests(windows);
  for (size_t w = 0; w < windows; ++w) {
    ScoreRequest& request = requests[w];
    const auto begin =
        tokens.begin() + static_cast<std::ptrdiff_t>(w) * window_;
    request.tokens.assign(begin, begin + window_);
    if (bos && convention_->bos == BosPlacement::kEveryWindow) {
      request.tokens[0] = *bos;
    }
    request.first_target = convention_->first_target(window_);
    request.target_count = window_ - request.first_target;
  }
  return requests;
}

std::string ConventionWindows::name() const {
  std::string name = absl::StrCat(convention_->name, "-", window_);
  if (options_.max_windows > 0) {
    absl::StrAppend(&name, "/first-", options_.max_windows);
  }
  return name;
}

std::vector<v1::MetricInfo> ConventionMetrics(absl::string_view family,
                                              absl::string_view prefix,
                                              absl::string_view citation) {
  std::vector<v1::MetricInfo> metrics;
  for (const PerplexityConvention& convention : PerplexityConventions()) {
    v1::MetricInfo info;
    info.set_pattern(absl::StrCat(family, "/", convention.name, "-N"));
    info.set_help(absl::StrCat(prefix, convention.help));
    info.set_citation(
        std::string(citation.empty() ? convention.citation : citation));
    metrics.push_back(std::move(info));
  }
  return metrics;
}

}  // namespace quantd
