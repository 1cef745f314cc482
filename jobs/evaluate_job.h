// Runs an evaluate job: model or artifact and text in, evaluation out.
#ifndef QUANTD_JOBS_EVALUATE_JOB_H_
#define QUANTD_JOBS_EVALUATE_JOB_H_

#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "quantd/v1/worker.pb.h"

namespace quantd {

// See JobRunner. REQUIRES: assignment.job().spec().has_evaluate().
absl::StatusOr<v1::AttemptSuccess> RunEvaluateJob(
    const v1::Assignment& assignment, ExecutionContext& context);

}  // namespace quantd

#endif  // QUANTD_JOBS_EVALUATE_JOB_H_
