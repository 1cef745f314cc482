#include "jobs/job_runner.h"

#include "jobs/evaluate_job.h"
#include "jobs/quantize_job.h"

namespace quantd {
namespace {

constexpr JobRunnerRow kRunners[] = {
    {v1::JobSpec::kQuantize, "quantize", &RunQuantizeJob},
    {v1::JobSpec::kEvaluate, "evaluate", &RunEvaluateJob},
};

}  // namespace

absl::Span<const JobRunnerRow> JobRunners() { return kRunners; }

const JobRunnerRow* FindJobRunner(v1::JobSpec::KindCase kind) {
  for (const JobRunnerRow& row : kRunners) {
    if (row.kind == kind) return &row;
  }
  return nullptr;
}

}  // namespace quantd
