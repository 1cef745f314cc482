// One change of one job: the next version of its record together with the
// events that tell of it, committed as one batch. And the rules of what
// follows when an attempt ends without a result.
//
//   JobChange change(std::move(record), clock->Now());
//   change.MoveTo(v1::CANCELLED, reason::kCancelledByClient);
//   change.AppendTo(store, &batch);
//
// Thread-compatible.
#ifndef QUANTD_JOBS_JOB_CHANGE_H_
#define QUANTD_JOBS_JOB_CHANGE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"
#include "quantd/v1/job.pb.h"
#include "storage/metadata_store.h"

namespace quantd {

// Values of Job.state_reason. Persisted.
namespace reason {
inline constexpr char kWaitingForSlot[] = "WAITING_FOR_SLOT";
inline constexpr char kWaitingForDependency[] = "WAITING_FOR_DEPENDENCY";
inline constexpr char kWaitingForDisk[] = "WAITING_FOR_DISK";
inline constexpr char kStarted[] = "STARTED";
inline constexpr char kCompleted[] = "COMPLETED";
inline constexpr char kWorkerLost[] = "WORKER_LOST";
inline constexpr char kOutOfMemory[] = "OUT_OF_MEMORY";
inline constexpr char kAttemptFailed[] = "ATTEMPT_FAILED";
inline constexpr char kStartFailed[] = "START_FAILED";
inline constexpr char kServerRestarted[] = "SERVER_RESTARTED";
inline constexpr char kServerDrained[] = "SERVER_DRAINED";
inline constexpr char kError[] = "ERROR";
inline constexpr char kAttemptsExhausted[] = "ATTEMPTS_EXHAUSTED";
inline constexpr char kDependencyFailed[] = "DEPENDENCY_FAILED";
inline constexpr char kCancelledByClient[] = "CANCELLED_BY_CLIENT";
}  // namespace reason

google::protobuf::Timestamp ToTimestamp(absl::Time time);
absl::Time FromTimestamp(const google::protobuf::Timestamp& timestamp);

class JobChange {
 public:
  // `record` is the job as it is stored now.
  JobChange(v1::Job record, absl::Time now);

  v1::Job& record() { return record_; }
  const v1::Job& record() const { return record_; }
  v1::JobState from() const { return from_; }
  absl::Time now() const { return now_; }

  // Ends the process unless CanTransition(record().state(), to).
  void MoveTo(v1::JobState to, absl::string_view reason);

  // A note or warning of the current attempt, cut to kMaxMessageBytes. A
  // warning is also kept in the job, up to kMaxWarnings.
  void AddNote(absl::string_view text);
  void AddWarning(absl::string_view text);

  // Numbers the events and puts them and the record into `batch`.
  void AppendTo(MetadataStore* store, MetadataBatch* batch);

  static constexpr size_t kMaxMessageBytes = 2048;
  static constexpr int kMaxWarnings = 100;

 private:
  v1::JobEvent& AddEvent();

  v1::Job record_;
  const v1::JobState from_;
  const absl::Time now_;
  std::vector<v1::JobEvent> events_;
};

// How an attempt ended without a result.
struct AttemptEnd {
  enum class Cause {
    kWorkerLost,       // its process ended or its lease ran out
    kOutOfMemory,      // the kernel killed it for memory
    kError,            // the worker reported `error`
    kStartFailed,      // the executor could not start it
    kServerRestarted,  // it was running when the last server ended
    kServerDrained,    // the server stopped it to shut down
  };
  Cause cause = Cause::kWorkerLost;
  // What a person should read.
  absl::Status error;
};

// Attempts that count against max_attempts.
uint32_t CountedAttempts(const v1::Job& job);

// Moves a RUNNING job on after its attempt ended:
//   cancellation requested               CANCELLED
//   an error that a retry will not cure  FAILED with that error
//   attempts left                        QUEUED
//   none left                            FAILED, ATTEMPTS_EXHAUSTED
// A retry may cure Unavailable and Aborted.
//
// Attempts that the server ended (drain, restart, a worker that could not be
// started) do not count: a long job must survive any number of upgrades, and
// a crash of the server is seldom the job's doing. Seldom, not never (a job
// that takes the whole machine down with it), so from the
// kMaxForgivenRestarts-th uncounted attempt on, a restart counts.
void EndAttempt(const AttemptEnd& end, JobChange* change);

inline constexpr uint32_t kMaxForgivenRestarts = 16;

// Whether another attempt may succeed where one failed with this code.
bool IsRetryable(absl::StatusCode code);

// The error of a job, with a message of bounded length.
v1::JobError ToJobError(const absl::Status& status);

}  // namespace quantd

#endif  // QUANTD_JOBS_JOB_CHANGE_H_
