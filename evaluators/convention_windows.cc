#include "evaluators/convention_windows.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

constexpr int kMinWindow = 8;
constexpr int kMaxWindow = 1 << 20;
// See perplexity_convention.h.
constexpr int kMinStride = 2;

// The text behind the "-" that `rest` begins with, up to the next "-".
absl::string_view TakeParameter(absl::string_view* rest) {
  rest->remove_prefix(1);
  const absl::string_view parameter = rest->substr(0, rest->find('-', 1));
  rest->remove_prefix(parameter.size());
  return parameter;
}

// Whether `rest`, which stands behind a convention's name, may be parameters:
// "", "-512", "-512-1024".
bool MayBeParameters(const PerplexityConvention& convention,
                     absl::string_view rest) {
  return rest.empty() ? convention.default_window == DefaultWindow::kContext &&
                            convention.stride == StrideParameter::kNone
                      : rest[0] == '-';
}

absl::Status CheckStride(const WindowParameters& parameters) {
  if (parameters.window == 0 || parameters.stride <= parameters.window) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("a stride of ", parameters.stride,
                   " skips tokens: the window has ", parameters.window));
}

absl::StatusOr<WindowParameters> ParseParameters(
    const PerplexityConvention& convention, absl::string_view rest) {
  WindowParameters parameters;
  if (convention.stride == StrideParameter::kRequired &&
      (!absl::SimpleAtoi(TakeParameter(&rest), &parameters.stride) ||
       parameters.stride < kMinStride || parameters.stride > kMaxWindow)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the stride must be a number in ", kMinStride, "..",
                     kMaxWindow, ", and not over the window"));
  }
  if (rest.empty() && convention.default_window == DefaultWindow::kContext) {
    return parameters;
  }
  if (!absl::ConsumePrefix(&rest, "-") ||
      !absl::SimpleAtoi(rest, &parameters.window) ||
      parameters.window < kMinWindow || parameters.window > kMaxWindow) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the window must be a number in ", kMinWindow, "..", kMaxWindow));
  }
  RETURN_IF_ERROR(CheckStride(parameters));
  return parameters;
}

}  // namespace

absl::StatusOr<ConventionWindows> ConventionWindows::Parse(
    absl::string_view family, absl::string_view parameters,
    const EvaluatorOptions& options) {
  std::vector<std::string> patterns;
  for (const PerplexityConvention& convention : PerplexityConventions()) {
    patterns.push_back(absl::StrCat(family, "/", convention.pattern()));
    absl::string_view rest = parameters;
    if (!absl::ConsumePrefix(&rest, convention.name) ||
        !MayBeParameters(convention, rest)) {
      continue;
    }
    ConventionWindows windows(family, &convention);
    ASSIGN_OR_RETURN(windows.parameters_,
                     Annotate(ParseParameters(convention, rest), "metric ",
                              family, "/", parameters));
    windows.parameters_.max_windows = options.max_windows;
    return windows;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("metric ", family, "/", parameters, " is not one of ",
                   absl::StrJoin(patterns, ", "), " (N = window, S = stride)"));
}

absl::StatusOr<WindowParameters> ConventionWindows::Resolve(
    int64_t context_tokens) const {
  WindowParameters resolved = parameters_;
  if (resolved.window == 0) {
    if (context_tokens < kMinWindow || context_tokens > kMaxWindow) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the window is the model's context, which is ",
          context_tokens == 0 ? "unknown" : absl::StrCat(context_tokens),
          "; write the number, in ", kMinWindow, "..", kMaxWindow, ": ",
          family_, "/", unlimited_name(), "-512"));
    }
    resolved.window = static_cast<int>(context_tokens);
    RETURN_IF_ERROR(CheckStride(resolved));
  }
  return resolved;
}

absl::StatusOr<WindowShape> ConventionWindows::Shape(
    int64_t context_tokens) const {
  ASSIGN_OR_RETURN(const WindowParameters resolved,
                   Annotate(Resolve(context_tokens), family_, "/", name()));
  return convention_->shape(resolved);
}

absl::StatusOr<std::vector<ScoreRequest>> ConventionWindows::Requests(
    absl::string_view text, const ModelContext& model) {
  ASSIGN_OR_RETURN(parameters_, Annotate(Resolve(model.context_tokens), family_,
                                         "/", name()));
  ASSIGN_OR_RETURN(
      windows_, Annotate(convention_->cut(text, model.tokenizer, parameters_),
                         family_, "/", name()));
  v1::PerplexityTag& tag = windows_.tag;
  tag.set_convention(absl::StrCat("ppl/", name()));
  tag.set_window_tokens(static_cast<uint32_t>(parameters_.window));
  tag.set_stride_tokens(static_cast<uint32_t>(parameters_.stride));
  tag.set_tokenizer_digest(model.tokenizer.digest());
  return std::exchange(windows_.requests, {});
}

std::string ConventionWindows::unlimited_name() const {
  std::string name(convention_->name);
  if (parameters_.stride > 0) absl::StrAppend(&name, "-", parameters_.stride);
  if (parameters_.window > 0) absl::StrAppend(&name, "-", parameters_.window);
  return name;
}

std::string ConventionWindows::name() const {
  std::string name = unlimited_name();
  if (parameters_.max_windows > 0) {
    absl::StrAppend(&name, "/first-", parameters_.max_windows);
  }
  return name;
}

std::vector<v1::MetricInfo> ConventionMetrics(absl::string_view family,
                                              absl::string_view prefix,
                                              absl::string_view citation) {
  std::vector<v1::MetricInfo> metrics;
  for (const PerplexityConvention& convention : PerplexityConventions()) {
    v1::MetricInfo info;
    info.set_pattern(absl::StrCat(family, "/", convention.pattern()));
    info.set_help(absl::StrCat(prefix, convention.help));
    info.set_citation(
        std::string(citation.empty() ? convention.citation : citation));
    metrics.push_back(std::move(info));
  }
  return metrics;
}

}  // namespace quantd
