// Which layers of a compressed model cause its loss: the metric
// attribution/<convention>, over the windows of a perplexity convention.
// v1::AttributionReport says what each number is.
//
// A unit is a block, or one linear layer. Two experiments a unit: the original
// with this unit of the artifact ("alone"), and the artifact with this unit of
// the original ("restored"). Both are the networks of two loaded checkpoints
// with one part exchanged, so an experiment with a unit of block k begins at
// block k, with what its original's (or artifact's) run left there, and costs
// blocks k .. N - 1: for blocks together N (N + 1) passes through a block where
// comparing the two models takes 2 N.
//
// Parts can be exchanged only where all else is equal: a checkpoint with
// another embedding, head or norms (a rotated network) is refused.
//
// All experiments of a batch use the same products in the same order as the two
// whole models, so that equal weights have no difference at all, and the only
// unit of a one-block model accounts for everything exactly. On the batch
// results depend as scores do (prefix_pass.h): not at all in
// ComputeType::kF32Strict.
//
// Confined to one thread; the device's threads work inside.
#ifndef QUANTD_EVALUATORS_ATTRIBUTION_H_
#define QUANTD_EVALUATORS_ATTRIBUTION_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "evaluators/bit_suggestion.h"
#include "evaluators/convention_windows.h"
#include "evaluators/evaluator.h"
#include "evaluators/scoring_forecast.h"
#include "kernels/execution_context.h"
#include "models/model.h"
#include "models/model_footprint.h"
#include "models/run_forecast.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

struct AttributionOptions {
  v1::AttributionGranularity granularity = v1::ATTRIBUTE_BLOCKS;
  // Windows at a time; fewer where the logits of so many would be recomputed.
  int64_t batch_windows = 8;
  // Bits per weight that the suggestion may use; 0: as many as now.
  double target_bits = 0;
  // How far the bits of a compressed unit of the target can go, by its name;
  // empty: kMaxBitChange either way.
  std::function<BitChanges(const std::string& unit)> bit_changes;
};

// `parameters` is the metric behind "attribution/": "gptq-512".
absl::StatusOr<ConventionWindows> ParseAttribution(
    absl::string_view parameters, const EvaluatorOptions& options);

// Loads all blocks of both models, runs all experiments over `requests`, which
// are those of `windows`, and lets the blocks go. `on_progress` is given the
// part that is done, 0..1. The report has no baseline's name, and its
// suggestion no rules. InvalidArgument names what makes the models
// inexchangeable, or, before anything is run, says what bits the units can take
// where the target asks for others; Internal when a value is NaN or infinite;
// Cancelled soon after the context is.
absl::StatusOr<v1::AttributionReport> MeasureAttribution(
    const Model& target, const Model& baseline,
    const ConventionWindows& windows, absl::Span<const ScoreRequest> requests,
    const AttributionOptions& options,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx);

// What that will need. REQUIRES: shape.baseline.
RunForecast ForecastAttribution(const ModelFootprint& footprint,
                                const ScoringShape& shape,
                                v1::AttributionGranularity granularity);

// One row per convention.
std::vector<v1::MetricInfo> AttributionMetrics();

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_ATTRIBUTION_H_
