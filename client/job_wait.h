// Submitting a job and waiting for it, the same for every command.
//
// Confined to the command's thread.
#ifndef QUANTD_CLIENT_JOB_WAIT_H_
#define QUANTD_CLIENT_JOB_WAIT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/exit_code.h"
#include "client/job_progress.h"
#include "client/session.h"
#include "quantd/v1/job.pb.h"

namespace quantd {

// Follows the job until it has ended. Without a value: Ctrl-C was pressed;
// the job goes on, and the user was told how to watch or cancel it.
absl::StatusOr<std::optional<v1::Job>> WaitForJob(Session& session,
                                                  const std::string& name,
                                                  uint64_t after_sequence,
                                                  JobProgress& progress);

// The same for a caller with a handler of interrupts of its own: an interrupt
// that cancels the client ends it with Cancelled.
absl::StatusOr<v1::Job> FollowJob(Session& session, const std::string& name,
                                  uint64_t after_sequence,
                                  JobProgress& progress);

// For a job that ended without success: says why and where its log is, on
// standard error; with --json prints the job's outcome on standard output.
void ReportUnsuccessful(Session& session, const v1::Job& job);

// {"job", "state", "error"?, "artifact"?, ...}: how a job ended.
Json OutcomeToJson(const v1::Job& job);

}  // namespace quantd

#endif  // QUANTD_CLIENT_JOB_WAIT_H_
