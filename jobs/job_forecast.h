// What a job will need, as the server tells it at submission and the worker
// acts on it: the same functions on both sides, so that a run does what was
// forecast.
//
// Thread-safe: free functions over their arguments.
#ifndef QUANTD_JOBS_JOB_FORECAST_H_
#define QUANTD_JOBS_JOB_FORECAST_H_

#include <cstdint>
#include <numeric>
#include <vector>

#include "absl/status/statusor.h"
#include "evaluators/scorer.h"
#include "models/model_footprint.h"
#include "quantd/v1/forecast.pb.h"
#include "quantd/v1/job.pb.h"
#include "quantizers/compiled_recipe.h"

namespace quantd {

// What is known of a job's text before it is tokenized.
struct TextSize {
  uint64_t bytes = 0;
  std::vector<uint64_t> task_bytes;  // records of every task

  // All of it.
  uint64_t total() const {
    return std::accumulate(task_bytes.begin(), task_bytes.end(), bytes);
  }
};

struct JobPlan {
  v1::Forecast forecast;
  // How the run keeps to it.
  uint64_t activation_memory_bytes = UINT64_MAX;
  ScoringOrder scoring_order = ScoringOrder::kBatchMajor;
};

// Window of the calibration: the one asked for, or the model's context up to
// 2048 tokens.
int64_t CalibrationWindowTokens(const v1::Calibration& options,
                                const ModelDescription& model);

// `memory_limit_bytes` 0 = no limit. REQUIRES: the recipe fits the model.
JobPlan PlanQuantizeJob(const CompiledRecipe& recipe,
                        const ModelFootprint& footprint,
                        const v1::JobSpec& spec, const TextSize& text,
                        uint64_t memory_limit_bytes);

// `baseline` is null unless the job has one. InvalidArgument: an unknown
// metric, or one that leaves its window to a context that the model does not
// name.
absl::StatusOr<JobPlan> PlanEvaluateJob(const ModelFootprint& footprint,
                                        const ModelFootprint* baseline,
                                        const v1::JobSpec& spec,
                                        const TextSize& text,
                                        uint64_t memory_limit_bytes);

// ResourceExhausted, with what is needed, what there is, what it is needed for
// and what could be changed, when the forecast exceeds its memory limit or
// `free_disk_bytes`.
absl::Status CheckForecast(const v1::Forecast& forecast,
                           uint64_t free_disk_bytes);

}  // namespace quantd

#endif  // QUANTD_JOBS_JOB_FORECAST_H_
