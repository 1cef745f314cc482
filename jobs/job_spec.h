// What a submission must satisfy by itself, without looking at what exists.
#ifndef QUANTD_JOBS_JOB_SPEC_H_
#define QUANTD_JOBS_JOB_SPEC_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "quantd/v1/job.pb.h"

namespace quantd {

// Checks the kind, the recipe, the metrics and the device, and writes every
// default into `spec`; a quantize job gets its resolved recipe, so that it
// runs the same however long it waits. Submitting a completed spec again is
// fine. REQUIRES: Validate(*spec) was OK.
//
// InvalidArgument names the field; NotFound an unknown method; Unimplemented
// a kind or device this build cannot run.
absl::Status CompleteSpec(v1::JobSpec* spec);

// "<model>-<method>-<end of the job's id>", cut to the length of an id.
std::string DefaultOutputId(const v1::QuantizeSpec& spec,
                            absl::string_view job_id);

}  // namespace quantd

#endif  // QUANTD_JOBS_JOB_SPEC_H_
