#include "jobs/job_change.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "jobs/bounded_text.h"
#include "jobs/job_id.h"
#include "jobs/job_state.h"

namespace quantd {
namespace {

absl::string_view ReasonOf(AttemptEnd::Cause cause) {
  switch (cause) {
    case AttemptEnd::Cause::kWorkerLost:
      return reason::kWorkerLost;
    case AttemptEnd::Cause::kOutOfMemory:
      return reason::kOutOfMemory;
    case AttemptEnd::Cause::kError:
      return reason::kAttemptFailed;
    case AttemptEnd::Cause::kStartFailed:
      return reason::kStartFailed;
    case AttemptEnd::Cause::kServerRestarted:
      return reason::kServerRestarted;
    case AttemptEnd::Cause::kServerDrained:
      return reason::kServerDrained;
  }
  return reason::kWorkerLost;
}

bool Counts(AttemptEnd::Cause cause, const v1::Job& job) {
  switch (cause) {
    case AttemptEnd::Cause::kStartFailed:
    case AttemptEnd::Cause::kServerDrained:
      return false;
    case AttemptEnd::Cause::kServerRestarted:
      return job.uncounted_attempts() >= kMaxForgivenRestarts;
    default:
      return true;
  }
}

}  // namespace

google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  google::protobuf::Timestamp timestamp;
  const timespec spec = absl::ToTimespec(time);
  timestamp.set_seconds(spec.tv_sec);
  timestamp.set_nanos(static_cast<int32_t>(spec.tv_nsec));
  return timestamp;
}

absl::Time FromTimestamp(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) +
         absl::Nanoseconds(timestamp.nanos());
}

JobChange::JobChange(v1::Job record, absl::Time now)
    : record_(std::move(record)), from_(record_.state()), now_(now) {}

v1::JobEvent& JobChange::AddEvent() {
  v1::JobEvent& event = events_.emplace_back();
  event.set_job(record_.name());
  *event.mutable_time() = ToTimestamp(now_);
  event.set_attempt(record_.attempt());
  return event;
}

void JobChange::MoveTo(v1::JobState to, absl::string_view reason) {
  const v1::JobState from = record_.state();
  if (!CanTransition(from, to)) {
    // No input leads here; going on would let a job end twice.
    std::fprintf(stderr, "%s: %s -> %s is no transition\n",
                 record_.name().c_str(), v1::JobState_Name(from).c_str(),
                 v1::JobState_Name(to).c_str());
    std::abort();
  }
  record_.set_state(to);
  record_.set_state_reason(std::string(reason));
  switch (to) {
    case v1::QUEUED:
      if (from == v1::JOB_STATE_UNSPECIFIED) {
        *record_.mutable_create_time() = ToTimestamp(now_);
      }
      record_.clear_start_time();
      record_.clear_progress();
      break;
    case v1::RUNNING:
      record_.set_attempt(record_.attempt() + 1);
      *record_.mutable_start_time() = ToTimestamp(now_);
      record_.clear_progress();
      break;
    default:
      *record_.mutable_end_time() = ToTimestamp(now_);
      break;
  }
  v1::StateChange& change = *AddEvent().mutable_state();
  change.set_from(from);
  change.set_to(to);
  change.set_reason(record_.state_reason());
}

void JobChange::AddNote(absl::string_view text) {
  AddEvent().set_note(ToBoundedUtf8(text, kMaxMessageBytes));
}

void JobChange::AddWarning(absl::string_view text) {
  std::string warning = ToBoundedUtf8(text, kMaxMessageBytes);
  if (record_.warnings_size() < kMaxWarnings) record_.add_warnings(warning);
  AddEvent().set_warning(std::move(warning));
}

void JobChange::AppendTo(MetadataStore* store, MetadataBatch* batch) {
  const std::string id = JobIdOf(record_.name()).value();
  for (v1::JobEvent& event : events_) {
    event.set_sequence(store->NextSequence());
    const std::string key = EventKey(event.sequence());
    batch->Put(Table::kEvents, key, event);
    batch->PutBytes(Table::kJobEvents, absl::StrCat(id, "/", key), "");
    record_.set_event_sequence(event.sequence());
  }
  batch->Put(Table::kJobs, id, record_);
}

uint32_t CountedAttempts(const v1::Job& job) {
  return job.attempt() - std::min(job.attempt(), job.uncounted_attempts());
}

bool IsRetryable(absl::StatusCode code) {
  return code == absl::StatusCode::kUnavailable ||
         code == absl::StatusCode::kAborted;
}

v1::JobError ToJobError(const absl::Status& status) {
  // A message may carry a list of violations; a page of text is enough.
  constexpr size_t kMaxErrorBytes = 8192;
  v1::JobError error;
  error.set_code(static_cast<int32_t>(status.code()));
  error.set_message(ToBoundedUtf8(status.message(), kMaxErrorBytes));
  return error;
}

void EndAttempt(const AttemptEnd& end, JobChange* change) {
  v1::Job& job = change->record();
  if (job.cancel_requested()) {
    change->MoveTo(v1::CANCELLED, reason::kCancelledByClient);
    return;
  }
  if (end.cause == AttemptEnd::Cause::kError &&
      !IsRetryable(end.error.code())) {
    *job.mutable_error() = ToJobError(end.error);
    change->MoveTo(v1::FAILED, reason::kError);
    return;
  }
  if (!Counts(end.cause, job)) {
    job.set_uncounted_attempts(job.uncounted_attempts() + 1);
  }
  change->AddWarning(
      absl::StrCat("attempt ", job.attempt(), " ended: ", end.error.message()));
  if (CountedAttempts(job) < std::max(1u, job.spec().max_attempts())) {
    change->MoveTo(v1::QUEUED, ReasonOf(end.cause));
    return;
  }
  *job.mutable_error() = ToJobError(
      Annotate(end.error, "attempt ", job.attempt(), " was the last"));
  change->MoveTo(v1::FAILED, reason::kAttemptsExhausted);
}

}  // namespace quantd
