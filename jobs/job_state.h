// The life of a job as a table. State only moves forward; the one step back,
// RUNNING to QUEUED, starts the next attempt.
//
//   created -> QUEUED -> RUNNING -> SUCCEEDED
//                |  ^______|  |
//                v            v
//        FAILED, CANCELLED    FAILED, CANCELLED
//
// Thread-safe: pure functions.
#ifndef QUANTD_JOBS_JOB_STATE_H_
#define QUANTD_JOBS_JOB_STATE_H_

#include "absl/types/span.h"
#include "quantd/v1/job.pb.h"

namespace quantd {

struct JobTransition {
  v1::JobState from;
  v1::JobState to;
  // What makes it happen, for people.
  const char* cause;
};

// Every transition there is. JOB_STATE_UNSPECIFIED stands for "not created".
absl::Span<const JobTransition> JobTransitions();

// Whether the table has a row from -> to.
bool CanTransition(v1::JobState from, v1::JobState to);

// SUCCEEDED, FAILED, CANCELLED: no row leaves them.
bool IsTerminal(v1::JobState state);

}  // namespace quantd

#endif  // QUANTD_JOBS_JOB_STATE_H_
