#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "jobs/input_resolution.h"
#include "jobs/job_manager_impl.h"
#include "jobs/publication.h"

namespace quantd {
namespace {

// A worker repeats a report for minutes at most; a slot ends few attempts in
// that time.
constexpr size_t kRememberedReports = 1024;

absl::Status StaleAttempt(const v1::AttemptKey& key) {
  return absl::AbortedError(absl::StrCat("STALE_ATTEMPT: attempt ",
                                         key.attempt(), " of ", key.job(),
                                         " is not the current one"));
}

// The remaining time, by the pace since the attempt's first report. Blocks
// that were taken over from an earlier attempt are in that first report, so
// they do not make the pace look better than it is.
double EtaSeconds(double fraction, double first_fraction,
                  absl::Duration elapsed) {
  const double gained = fraction - first_fraction;
  if (gained <= 0 || elapsed <= absl::ZeroDuration()) return 0;
  return (1 - fraction) / gained * absl::ToDoubleSeconds(elapsed);
}

std::vector<std::string> DigestsOf(const v1::AttemptSuccess& success) {
  std::vector<std::string> digests;
  for (const v1::ArtifactFile& file : success.artifact().files()) {
    digests.push_back(file.digest());
  }
  return digests;
}

// What the server knows about an evaluation itself.
void CompleteEvaluation(const v1::Job& job, absl::string_view job_id,
                        absl::Time now, v1::Evaluation* evaluation) {
  evaluation->set_name(absl::StrCat("evaluations/", job_id));
  evaluation->set_job(job.name());
  *evaluation->mutable_create_time() = ToTimestamp(now);
  if (evaluation->target().empty()) {
    evaluation->set_target(job.spec().evaluate().target());
  }
  if (evaluation->wall_seconds() == 0) {
    evaluation->set_wall_seconds(job.result().wall_seconds());
  }
  if (evaluation->peak_memory_bytes() == 0) {
    evaluation->set_peak_memory_bytes(job.result().peak_memory_bytes());
  }
}

}  // namespace

absl::StatusOr<JobManager::Impl::JobPtr> JobManager::Impl::FindAttempt(
    const v1::AttemptKey& key) const {
  const absl::StatusOr<std::string> id = JobIdOf(key.job());
  const JobPtr job = id.ok() ? table_.Find(*id) : nullptr;
  if (job == nullptr || job->state != v1::RUNNING ||
      job->attempt != key.attempt() || job->token.empty() ||
      !SecretsEqual(job->token, key.token())) {
    return StaleAttempt(key);
  }
  return job;
}

absl::StatusOr<JobManager::Impl::JobPtr> JobManager::Impl::TakeInHand(
    const v1::AttemptKey& key) {
  for (;;) {
    ASSIGN_OR_RETURN(JobPtr job, FindAttempt(key));
    if (!job->in_server_hands) {
      job->in_server_hands = true;
      ++in_hand_;
      leases_.Suspend(job->id);
      return job;
    }
    // A repeated call whose first is still at work.
    const auto is_free = [&job] { return !job->in_server_hands; };
    mutex_.Await(absl::Condition(&is_free));
  }
}

void JobManager::Impl::LetGo(const JobPtr& job) {
  std::optional<AttemptEnd> end;
  uint32_t attempt;
  {
    absl::MutexLock lock(&mutex_);
    job->in_server_hands = false;
    --in_hand_;
    leases_.Renew(job->id, clock_->Monotonic() + options_.lease);
    end.swap(job->pending_end);
    attempt = job->attempt;
  }
  if (end.has_value()) {
    // If this fails, the renewed lease runs out and it is tried again.
    FinishAttempt(job->id, attempt, *std::move(end)).IgnoreError();
  }
}

absl::StatusOr<v1::Assignment> JobManager::Impl::Claim(
    const v1::AttemptKey& key) {
  JobPtr job;
  bool cancelled;
  {
    absl::MutexLock lock(&mutex_);
    ASSIGN_OR_RETURN(job, TakeInHand(key));
    cancelled = job->cancel_requested;
  }
  v1::Assignment assignment;
  absl::Status status;
  if (cancelled) {
    status = absl::CancelledError("the job was cancelled");
  } else if (absl::StatusOr<v1::Job> record = Record(job->id); record.ok()) {
    *assignment.mutable_job() = *std::move(record);
    assignment.set_lease_seconds(absl::ToDoubleSeconds(options_.lease));
    assignment.set_workspace(files_.Workspace(job->id));
    if (options_.statistics_bytes > 0) {
      assignment.set_statistics_directory(files_.StatisticsDirectory());
      assignment.set_statistics_bytes(options_.statistics_bytes);
    }
    if (options_.score_bytes > 0) {
      assignment.set_score_directory(files_.ScoreDirectory());
      assignment.set_score_bytes(options_.score_bytes);
    }
    assignment.set_memory_bytes(
        admission_.MemoryLimitOf(assignment.job().spec()));
    status = PrepareInputs(*store_, *artifacts_, files_, assignment.job(),
                           &assignment);
  } else {
    status = record.status();
  }
  if (!status.ok()) {
    // The server alone knows why; the worker has nothing to report.
    RETURN_IF_ERROR(FinishAttempt(job->id, key.attempt(),
                                  {AttemptEnd::Cause::kError, status},
                                  Hand::kOurs));
  }
  LetGo(job);
  RETURN_IF_ERROR(status);
  return assignment;
}

absl::StatusOr<v1::HeartbeatResponse> JobManager::Impl::Heartbeat(
    const v1::HeartbeatRequest& request) {
  v1::HeartbeatResponse response;
  const absl::Duration now = clock_->Monotonic();
  std::string id;
  {
    absl::MutexLock lock(&mutex_);
    ASSIGN_OR_RETURN(JobPtr job, FindAttempt(request.key()));
    id = job->id;
    if (!job->in_server_hands) leases_.Renew(id, now + options_.lease);
    if (request.has_progress()) {
      v1::Progress progress = request.progress();
      const double fraction = progress.fraction();
      progress.set_fraction(
          std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0);
      if (!job->progress.has_value()) {
        job->first_fraction = progress.fraction();
        job->first_progress_at = now;
      }
      progress.set_eta_seconds(EtaSeconds(progress.fraction(),
                                          job->first_fraction,
                                          now - job->first_progress_at));
      job->progress = std::move(progress);
    }
    response.set_cancel(job->cancel_requested || draining_);
  }
  observer_->OnWorkerMemory(request.key().job(), request.memory_bytes());
  if (request.notes().empty() && request.warnings().empty()) {
    watchers_.Notify(id);
    return response;
  }
  RETURN_IF_ERROR(RecordMessages(request));
  return response;
}

absl::Status JobManager::Impl::RecordMessages(
    const v1::HeartbeatRequest& request) {
  JobPtr job;
  {
    absl::MutexLock lock(&mutex_);
    ASSIGN_OR_RETURN(JobPtr found, FindAttempt(request.key()));
    job = BeginChange(found->id);
    if (job == nullptr) return StaleAttempt(request.key());
    // Another change may have ended the attempt meanwhile.
    if (absl::Status status = FindAttempt(request.key()).status();
        !status.ok()) {
      EndChange(*job);
      return status;
    }
  }
  absl::StatusOr<v1::Job> record = Record(job->id);
  if (!record.ok()) return Abandon(job, record.status());
  JobChange change(*std::move(record), clock_->Now());
  for (const std::string& note : request.notes()) change.AddNote(note);
  for (const std::string& warning : request.warnings()) {
    change.AddWarning(warning);
  }
  return CommitChange(job, std::move(change));
}

absl::Status JobManager::Impl::Report(const v1::ReportAttemptRequest& request) {
  if (request.outcome_case() == v1::ReportAttemptRequest::OUTCOME_NOT_SET) {
    return absl::InvalidArgumentError("the report has no outcome");
  }
  absl::StatusOr<JobPtr> job;
  {
    absl::MutexLock lock(&mutex_);
    job = TakeInHand(request.key());
    if (!job.ok() && WasReported(request.key())) return absl::OkStatus();
  }
  if (!job.ok()) {
    observer_->OnReportRefused(request.key().job(), request.key().attempt());
    return job.status();
  }
  const absl::Status status = request.has_success()
                                  ? PublishSuccess(*job, request.success())
                                  : RecordFailure(*job, request.error());
  {
    absl::MutexLock lock(&mutex_);
    // The token in the key was the right one, or we would not be here.
    if ((*job)->state != v1::RUNNING) RememberReport(request.key());
  }
  LetGo(*job);
  return status;
}

absl::Status JobManager::Impl::PublishSuccess(
    const JobPtr& job, const v1::AttemptSuccess& success) {
  ASSIGN_OR_RETURN(v1::Job record, Record(job->id));
  // Files first, then the record: state is told after the effect exists. The
  // turn is not taken yet, so that a cancellation need not wait for a copy.
  absl::Status status;
  v1::Artifact artifact;
  if (!record.cancel_requested() && record.spec().has_quantize()) {
    BlobHolds::Hold hold = artifacts_->holds().Acquire(DigestsOf(success));
    {
      absl::MutexLock lock(&mutex_);
      job->output_blobs = std::move(hold);
    }
    absl::StatusOr<v1::Artifact> adopted = AdoptArtifact(
        record, success, files_.Workspace(job->id), clock_->Now(), artifacts_);
    status =
        adopted.ok() ? CheckOutputIsFree(job->output_id) : adopted.status();
    if (status.ok()) artifact = *std::move(adopted);
  }
  if (record.spec().has_evaluate() && !success.has_evaluation()) {
    status = absl::InternalError("the worker reported no evaluation");
  }

  {
    absl::MutexLock lock(&mutex_);
    if (BeginChange(job->id) == nullptr) {
      return absl::AbortedError("the job has ended");
    }
  }
  absl::StatusOr<v1::Job> latest = Record(job->id);
  if (!latest.ok()) return Abandon(job, latest.status());
  JobChange change(*std::move(latest), clock_->Now());
  v1::Job& next = change.record();
  if (next.cancel_requested() || !status.ok()) {
    EndAttempt({AttemptEnd::Cause::kError, status}, &change);
    RETURN_IF_ERROR(CommitChange(job, std::move(change)));
    return status;
  }
  MetadataBatch batch;
  *next.mutable_result() = success.result();
  v1::JobResult& result = *next.mutable_result();
  if (result.wall_seconds() == 0) {
    result.set_wall_seconds(
        absl::ToDoubleSeconds(change.now() - FromTimestamp(next.start_time())));
  }
  if (next.spec().has_quantize()) {
    result.set_artifact(artifact.name());
    batch.Put(Table::kArtifacts, job->output_id, artifact);
  }
  if (success.has_evaluation()) {
    v1::Evaluation evaluation = success.evaluation();
    CompleteEvaluation(next, job->id, change.now(), &evaluation);
    result.set_evaluation(evaluation.name());
    batch.Put(Table::kEvaluations, job->id, evaluation);
  }
  change.MoveTo(v1::SUCCEEDED, reason::kCompleted);
  next.mutable_progress()->set_fraction(1);
  return CommitChange(job, std::move(change), std::move(batch));
}

absl::Status JobManager::Impl::RecordFailure(const JobPtr& job,
                                             const v1::JobError& error) {
  // A worker built from other sources may send a code we do not know.
  auto code = static_cast<absl::StatusCode>(error.code());
  if (error.code() <= 0 || error.code() > 16) {
    code = absl::StatusCode::kUnknown;
  }
  AttemptEnd end{AttemptEnd::Cause::kError,
                 absl::Status(code, error.message())};
  uint32_t attempt;
  {
    absl::MutexLock lock(&mutex_);
    attempt = job->attempt;
    if (code == absl::StatusCode::kCancelled) {
      // Nobody asked for it through us, or FinishAttempt() knows better:
      // the process was told to stop.
      end.cause = draining_ ? AttemptEnd::Cause::kServerDrained
                            : AttemptEnd::Cause::kWorkerLost;
    }
  }
  return FinishAttempt(job->id, attempt, std::move(end), Hand::kOurs);
}

absl::Status JobManager::Impl::FinishAttempt(absl::string_view id,
                                             uint32_t attempt, AttemptEnd end,
                                             Hand hand) {
  JobPtr job;
  {
    absl::MutexLock lock(&mutex_);
    job = BeginChange(id);
    if (job == nullptr) return absl::OkStatus();
    const bool is_current =
        job->state == v1::RUNNING && job->attempt == attempt;
    const bool defer = job->in_server_hands && hand == Hand::kFree;
    if (is_current && defer) job->pending_end = std::move(end);
    if (!is_current || defer) {
      EndChange(*job);
      return absl::OkStatus();
    }
    if (draining_ && end.cause == AttemptEnd::Cause::kWorkerLost) {
      end.cause = AttemptEnd::Cause::kServerDrained;
    }
  }
  absl::StatusOr<v1::Job> record = Record(job->id);
  absl::Status status = record.status();
  if (record.ok()) {
    JobChange change(*std::move(record), clock_->Now());
    EndAttempt(end, &change);
    const v1::Job after = change.record();
    status = CommitChange(job, std::move(change));
    if (status.ok() && end.cause != AttemptEnd::Cause::kError) {
      observer_->OnAttemptLost(after, end.error.message());
    }
  } else {
    status = Abandon(job, std::move(status));
  }
  if (!status.ok() && hand == Hand::kFree) {
    // The attempt is over but the store cannot say so. A new lease makes the
    // maintenance thread try again.
    absl::MutexLock lock(&mutex_);
    if (job->state == v1::RUNNING && job->attempt == attempt) {
      leases_.Grant(job->id, attempt, clock_->Monotonic() + options_.lease);
    }
  }
  return status;
}

void JobManager::Impl::OnWorkerExit(const WorkerExit& exit) {
  const absl::StatusOr<std::string> id = JobIdOf(exit.job);
  if (!id.ok()) return;
  bool is_live;
  {
    absl::MutexLock lock(&mutex_);
    ForgetWorker(*id, exit.attempt);
    is_live = table_.Find(*id) != nullptr;
  }
  if (!is_live) {
    files_.RemoveWorkspace(*id);
    return;
  }
  // If this fails, the lease is renewed once more and then runs out.
  FinishAttempt(
      *id, exit.attempt,
      {exit.out_of_memory ? AttemptEnd::Cause::kOutOfMemory
                          : AttemptEnd::Cause::kWorkerLost,
       absl::Status(exit.out_of_memory ? absl::StatusCode::kResourceExhausted
                                       : absl::StatusCode::kInternal,
                    absl::StrCat("the worker ended without a "
                                 "report: ",
                                 exit.description))})
      .IgnoreError();
}

void JobManager::Impl::ForgetWorker(absl::string_view id, uint32_t attempt) {
  auto it = workers_.find({std::string(id), attempt});
  if (it == workers_.end()) return;
  shares_.WorkerEnded(it->second.owner);
  workers_.erase(it);
  // The next attempt may have waited for this exit.
  if (JobPtr job = table_.Find(id)) MaybeRunnable(job);
}

void JobManager::Impl::RememberReport(const v1::AttemptKey& key) {
  reported_.push_back(key);
  if (reported_.size() > kRememberedReports) reported_.pop_front();
}

bool JobManager::Impl::WasReported(const v1::AttemptKey& key) const {
  return std::any_of(
      reported_.begin(), reported_.end(), [&](const v1::AttemptKey& known) {
        return known.job() == key.job() && known.attempt() == key.attempt() &&
               SecretsEqual(known.token(), key.token());
      });
}

}  // namespace quantd
