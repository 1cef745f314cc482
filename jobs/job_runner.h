// What the worker process does for each kind of job. Runners know nothing of
// leases and gRPC; the worker runtime (worker.h) calls them.
#ifndef QUANTD_JOBS_JOB_RUNNER_H_
#define QUANTD_JOBS_JOB_RUNNER_H_

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "quantd/v1/job.pb.h"
#include "quantd/v1/worker.pb.h"

namespace quantd {

// Runs the job of `assignment` to its end in its workspace. Resumes from what
// an earlier attempt left there. Returns Cancelled soon after the context is
// cancelled. Fills artifact_directory + artifact.files (path, digest, size),
// or evaluation, and result.
using JobRunner = absl::StatusOr<v1::AttemptSuccess> (*)(
    const v1::Assignment& assignment, ExecutionContext& context);

struct JobRunnerRow {
  v1::JobSpec::KindCase kind;
  const char* kind_name;  // in metrics and logs: "quantize", "evaluate"
  JobRunner run;
};

// The table of kinds this build can run.
absl::Span<const JobRunnerRow> JobRunners();

// nullptr when the kind is not in the table.
const JobRunnerRow* FindJobRunner(v1::JobSpec::KindCase kind);

}  // namespace quantd

#endif  // QUANTD_JOBS_JOB_RUNNER_H_
