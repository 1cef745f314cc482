// The metrics of an evaluate job that are folds over scored windows of a text.
#ifndef QUANTD_JOBS_METRIC_RUN_H_
#define QUANTD_JOBS_METRIC_RUN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "evaluators/evaluator.h"
#include "kernels/execution_context.h"
#include "models/model_description.h"
#include "models/tokenizer.h"
#include "quantd/v1/job.pb.h"

namespace quantd {

// One metric of the job: its evaluator and the windows it wants.
struct MetricRun {
  std::string name;
  std::unique_ptr<Evaluator> evaluator;
  std::vector<ScoreRequest> requests;
};

// The scored metrics of `spec` with their windows of `text`; a warning where
// windows exceed the model's context. InvalidArgument as Evaluator::Requests().
absl::StatusOr<std::vector<MetricRun>> PrepareMetrics(
    const v1::EvaluateSpec& spec, absl::string_view text,
    const Tokenizer& tokenizer, const ModelDescription& model,
    ExecutionContext& context);

// Tokens of as many of the longest windows as run together.
int64_t BatchTokens(const v1::EvaluateSpec& spec, const MetricRun& run);

}  // namespace quantd

#endif  // QUANTD_JOBS_METRIC_RUN_H_
