#include "jobs/metric_run.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {

absl::StatusOr<std::vector<MetricRun>> PrepareMetrics(
    const v1::EvaluateSpec& spec, absl::string_view text,
    const Tokenizer& tokenizer, const ModelDescription& model,
    ExecutionContext& context) {
  std::vector<MetricRun> runs;
  EvaluatorOptions options;
  options.max_windows = spec.max_windows();
  for (const std::string& metric : MetricsToRun(spec.metrics())) {
    MetricRun run;
    run.name = metric;
    ASSIGN_OR_RETURN(run.evaluator, NewEvaluator(metric, options));
    ASSIGN_OR_RETURN(
        run.requests,
        run.evaluator->Requests(text, {tokenizer, model.context_tokens}));
    // The last token of a window predicts nothing.
    size_t longest = 0;
    for (const ScoreRequest& request : run.requests) {
      longest = std::max(longest, request.tokens.size() - 1);
    }
    if (model.context_tokens > 0 &&
        longest > static_cast<size_t>(model.context_tokens)) {
      context.ReportWarning(
          absl::StrCat(metric, ": windows in which ", longest,
                       " tokens predict exceed the model's context of ",
                       model.context_tokens));
    }
    runs.push_back(std::move(run));
  }
  return runs;
}

int64_t BatchTokens(const v1::EvaluateSpec& spec, const MetricRun& run) {
  size_t longest = 0;
  for (const ScoreRequest& request : run.requests) {
    longest = std::max(longest, request.tokens.size());
  }
  return int64_t{spec.batch_windows()} * static_cast<int64_t>(longest);
}

}  // namespace quantd
