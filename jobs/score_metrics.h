// The numbers of an evaluation under one name each, as a job's result lists
// them: "ppl/gptq-512", "arc_easy/acc".
//
// Thread-safe.
#ifndef QUANTD_JOBS_SCORE_METRICS_H_
#define QUANTD_JOBS_SCORE_METRICS_H_

#include "quantd/v1/evaluation.pb.h"
#include "quantd/v1/job.pb.h"

namespace quantd {

// Of perplexities, divergences and tasks, and the speed of scoring them.
void AddScoreMetrics(const v1::Evaluation& evaluation, v1::JobResult* result);

}  // namespace quantd

#endif  // QUANTD_JOBS_SCORE_METRICS_H_
