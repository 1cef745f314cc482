// How fast a model runs and what memory it takes: v1::EfficiencyReport says
// what each number is. The metric efficiency/ppN-tgM is a pass over N random
// tokens (pp, prompt processing) and M tokens one at a time (tg, text
// generation), as llama.cpp's llama-bench defines both: random tokens, a
// warm-up, five repetitions, mean and sample deviation of tokens per second;
// tokenizing and sampling are not measured. Beyond it: time to the first token,
// latency of single tokens, CPU time, memory, and a baseline that is measured
// in turns with the model, so that what slows the machine slows both.
//
// Speeds depend on the machine and on what else runs there: they are the only
// numbers of an evaluation that do not repeat.
//
// Confined to one thread; the device's threads work inside.
#ifndef QUANTD_EVALUATORS_EFFICIENCY_H_
#define QUANTD_EVALUATORS_EFFICIENCY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "evaluators/process_meter.h"
#include "kernels/execution_context.h"
#include "models/model.h"
#include "models/model_footprint.h"
#include "models/run_forecast.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

struct EfficiencyOptions {
  int prompt_tokens = 0;
  int new_tokens = 0;
  int repetitions = 5;
  uint64_t seed = 0;

  // "efficiency/pp512-tg128".
  std::string name() const;
};

// `parameters` is the metric behind "efficiency/": "pp512-tg128".
// InvalidArgument when they are not of this form or a number is out of range.
absl::StatusOr<EfficiencyOptions> ParseEfficiency(absl::string_view parameters);

// Loads all blocks of `model` and of `baseline` (null: none), measures and lets
// them go. Freshly opened models: what they have read already is not in the
// time to load. `on_progress` is given the part that is done, 0..1. Warns
// through `ctx` where the machine was busy or tokens exceed a model's context.
// The report has no baseline's name. InvalidArgument when a model does not
// predict next tokens; OutOfRange when it has no position for so many;
// Cancelled soon after the context is.
absl::StatusOr<v1::EfficiencyReport> MeasureEfficiency(
    const Model& model, const Model* baseline, const EfficiencyOptions& options,
    ProcessMeter& meter, absl::FunctionRef<void(double part)> on_progress,
    ExecutionContext& ctx);

// What that will need: all blocks of both in memory. `baseline` may be null.
RunForecast ForecastEfficiency(const ModelFootprint& footprint,
                               const ModelFootprint* baseline,
                               const EfficiencyOptions& options);

// The family's one row.
std::vector<v1::MetricInfo> EfficiencyMetrics();

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_EFFICIENCY_H_
