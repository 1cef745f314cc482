// What quantctl's exit codes mean; a CI step branches on them.
#ifndef QUANTD_CLIENT_EXIT_CODE_H_
#define QUANTD_CLIENT_EXIT_CODE_H_

#include "absl/status/status.h"
#include "quantd/v1/job.pb.h"

namespace quantd {

enum class ExitCode {
  kOk = 0,
  kJobFailed = 1,
  kInvalidArgument = 2,  // wrong usage too
  kNotFound = 3,
  kUnavailable = 4,
  kJobCancelled = 5,
  kConflict = 6,
  kOther = 7,
  kInterrupted = 130,  // 128 + SIGINT, as shells have it
};

// For the help text, one code per line.
inline constexpr char kExitCodesHelp[] =
    "Exit codes:\n"
    "  0    done\n"
    "  1    the job failed\n"
    "  2    wrong usage or invalid argument\n"
    "  3    not found\n"
    "  4    server unreachable, unavailable or too slow\n"
    "  5    the job was cancelled\n"
    "  6    conflict: exists already, in use, or not comparable\n"
    "  7    any other error\n"
    "  130  interrupted (Ctrl-C); a job that was waited for goes on\n";

inline ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return ExitCode::kInvalidArgument;
    case absl::StatusCode::kNotFound:
      return ExitCode::kNotFound;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return ExitCode::kUnavailable;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
      return ExitCode::kConflict;
    default:
      return ExitCode::kOther;
  }
}

// Of a job that has ended.
inline ExitCode ExitCodeOf(const v1::Job& job) {
  if (job.state() == v1::CANCELLED) return ExitCode::kJobCancelled;
  return job.state() == v1::SUCCEEDED ? ExitCode::kOk : ExitCode::kJobFailed;
}

}  // namespace quantd

#endif  // QUANTD_CLIENT_EXIT_CODE_H_
