// The part of an evaluate job that measures models by other means than scored
// requests: how fast they are (evaluators/efficiency.h), and which of their
// layers cause a loss (evaluators/attribution.h).
#ifndef QUANTD_JOBS_MEASUREMENT_RUN_H_
#define QUANTD_JOBS_MEASUREMENT_RUN_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "evaluators/convention_windows.h"
#include "evaluators/efficiency.h"
#include "kernels/execution_context.h"
#include "models/checkpoint.h"
#include "models/model.h"
#include "models/tokenizer.h"
#include "quantd/v1/evaluation.pb.h"
#include "quantd/v1/job.pb.h"
#include "quantd/v1/worker.pb.h"

namespace quantd {

// The options of a metric of kind kEfficiency.
absl::StatusOr<EfficiencyOptions> EfficiencyOptionsOf(absl::string_view metric);

// Measures one metric of kind kEfficiency and adds its report to `evaluation`.
// `baseline` may be null. `on_progress` is given the part that is done. Nothing
// of the models should be loaded: they are read anew.
absl::Status RunEfficiency(const std::string& metric,
                           const v1::Assignment& assignment,
                           std::shared_ptr<const Checkpoint> target,
                           std::shared_ptr<const Checkpoint> baseline,
                           absl::FunctionRef<void(double part)> on_progress,
                           ExecutionContext& context,
                           v1::Evaluation* evaluation);

// A metric of kind kAttribution and the windows it is over.
struct PreparedAttribution {
  ConventionWindows windows;
  std::vector<ScoreRequest> requests;
};

// The windows of a metric of kind kAttribution; no text is needed for them to
// be parsed. InvalidArgument as ParseAttribution().
absl::StatusOr<ConventionWindows> AttributionWindowsOf(
    absl::string_view metric, const v1::EvaluateSpec& spec);

// Tokenizes `text`. InvalidArgument as Evaluator::Requests().
absl::StatusOr<PreparedAttribution> PrepareAttribution(
    absl::string_view metric, const v1::EvaluateSpec& spec,
    absl::string_view text, const Tokenizer& tokenizer, const Model& target);

// Runs one and adds its report to `evaluation`. No blocks of the models should
// be loaded.
absl::Status RunAttribution(const PreparedAttribution& attribution,
                            const v1::Assignment& assignment,
                            const Model& target, const Model& baseline,
                            absl::FunctionRef<void(double part)> on_progress,
                            ExecutionContext& context,
                            v1::Evaluation* evaluation);

// What the reports of such metrics add to JobResult.metrics.
void AddMeasurementMetrics(const v1::Evaluation& evaluation,
                           v1::JobResult* result);

}  // namespace quantd

#endif  // QUANTD_JOBS_MEASUREMENT_RUN_H_
