// What both kinds of runs take from their assignment.
#ifndef QUANTD_JOBS_RUN_CONTEXT_H_
#define QUANTD_JOBS_RUN_CONTEXT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/job_forecast.h"
#include "kernels/execution_context.h"
#include "quantd/v1/worker.pb.h"

namespace quantd {

// Sets the compute type the job asks for; a warning when the CPU cannot.
void ApplyComputeType(const v1::JobSpec& spec, ExecutionContext& context);

// The bytes of a file of the assignment. DataLoss when they do not have the
// digest.
absl::StatusOr<std::string> ReadVerified(const std::string& path,
                                         const std::string& digest);

// The assignment's text, verified.
absl::StatusOr<std::string> ReadAssignedText(const v1::Assignment& assignment);

// Its size, without reading it; 0 when the assignment has none.
absl::StatusOr<TextSize> AssignedTextSize(const v1::Assignment& assignment);

}  // namespace quantd

#endif  // QUANTD_JOBS_RUN_CONTEXT_H_
