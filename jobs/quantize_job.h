// Runs a quantize job: model and calibration text in, compressed checkpoint
// out.
#ifndef QUANTD_JOBS_QUANTIZE_JOB_H_
#define QUANTD_JOBS_QUANTIZE_JOB_H_

#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "quantd/v1/worker.pb.h"

namespace quantd {

// See JobRunner. REQUIRES: assignment.job().spec().has_quantize().
absl::StatusOr<v1::AttemptSuccess> RunQuantizeJob(
    const v1::Assignment& assignment, ExecutionContext& context);

}  // namespace quantd

#endif  // QUANTD_JOBS_QUANTIZE_JOB_H_
