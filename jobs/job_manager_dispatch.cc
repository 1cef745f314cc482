#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "jobs/input_resolution.h"
#include "jobs/job_manager_impl.h"
#include "jobs/job_state.h"

namespace quantd {
namespace {

// How long the dispatcher waits after it could not start an attempt.
constexpr absl::Duration kFirstPause = absl::Milliseconds(200);
constexpr absl::Duration kLongestPause = absl::Seconds(10);

// A worker whose attempt is over gets this long between SIGTERM and SIGKILL.
constexpr absl::Duration kLostGrace = absl::Seconds(1);

constexpr absl::Duration kPruneInterval = absl::Hours(1);

}  // namespace

absl::Status JobManager::Impl::Start() {
  RETURN_IF_ERROR(Recover());
  executor_->SetExitCallback(
      [this](const WorkerExit& exit) { OnWorkerExit(exit); });
  dispatcher_ = std::thread([this] { DispatchLoop(); });
  maintenance_ = std::thread([this] { MaintenanceLoop(); });
  return absl::OkStatus();
}

absl::Status JobManager::Impl::Recover() {
  RETURN_IF_ERROR(files_.Prepare());
  std::string last_id;
  RETURN_IF_ERROR(store_->ScanDown(
      Table::kJobs, "", [&](absl::string_view id, absl::string_view value) {
        last_id = std::string(id);
        return false;
      }));
  ids_ = std::make_unique<JobIdGenerator>(last_id);

  std::vector<v1::Job> live;
  absl::Status broken;
  RETURN_IF_ERROR(store_->Scan(
      Table::kJobs, "", "", [&](absl::string_view id, absl::string_view value) {
        v1::Job job;
        if (!job.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
          broken = absl::DataLossError(
              absl::StrCat(JobName(id), ": the record cannot be read"));
          return false;
        }
        if (!IsTerminal(job.state())) live.push_back(std::move(job));
        return true;
      }));
  RETURN_IF_ERROR(broken);
  // All into the index before the first changes: an end has to find its
  // dependents.
  for (const v1::Job& record : live) {
    ASSIGN_OR_RETURN(std::vector<std::string> reads,
                     ResourcesRead(*store_, record.spec()));
    absl::MutexLock lock(&mutex_);
    table_.Insert(std::make_shared<LiveJob>(record, std::move(reads)));
  }
  for (const v1::Job& record : live) RETURN_IF_ERROR(RecoverJob(record));

  for (const std::string& id : files_.ListWorkspaces()) {
    bool is_live;
    {
      absl::MutexLock lock(&mutex_);
      is_live = table_.Find(id) != nullptr;
    }
    if (!is_live) files_.RemoveWorkspace(id);
  }
  return absl::OkStatus();
}

absl::Status JobManager::Impl::RecoverJob(const v1::Job& record) {
  ASSIGN_OR_RETURN(const std::string id, JobIdOf(record.name()));
  {
    absl::MutexLock lock(&mutex_);
    const JobPtr job = table_.Find(id);
    if (!job->waiting_for.empty()) to_settle_.push_back(id);
    MaybeRunnable(job);
  }
  if (record.state() != v1::RUNNING) return absl::OkStatus();
  return FinishAttempt(id, record.attempt(),
                       {AttemptEnd::Cause::kServerRestarted,
                        absl::UnavailableError("the server was restarted")});
}

bool JobManager::Impl::CanStart() const {
  return !runnable_.empty() &&
         static_cast<int>(workers_.size()) < executor_->slots();
}

void JobManager::Impl::DispatchLoop() {
  absl::Duration pause = absl::ZeroDuration();
  for (;;) {
    std::string settle;
    bool start;
    {
      absl::MutexLock lock(&mutex_);
      const auto must_act = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return draining_ || !to_settle_.empty();
      };
      const auto can_act = [this, &must_act]() ABSL_SHARED_LOCKS_REQUIRED(
                               mutex_) { return must_act() || CanStart(); };
      if (pause > absl::ZeroDuration()) {
        mutex_.AwaitWithTimeout(absl::Condition(&must_act), pause);
      } else {
        mutex_.Await(absl::Condition(&can_act));
      }
      if (draining_) return;
      if (!to_settle_.empty()) {
        settle = std::move(to_settle_.front());
        to_settle_.pop_front();
      }
      start = settle.empty() && CanStart();
    }
    if (!settle.empty()) {
      SettleDependencies(settle);
    } else if (!start || StartNext().ok()) {
      pause = absl::ZeroDuration();
    } else {
      // Out of disk, a store that takes no writes, or no processes to be had:
      // trying again at once would only turn the error into load.
      pause = std::clamp(2 * pause, kFirstPause, kLongestPause);
    }
  }
}

absl::Status JobManager::Impl::CheckDisk() {
  const absl::StatusOr<uint64_t> free = FreeDiskBytes(files_.data_directory());
  const bool is_low = free.ok() && *free < options_.min_free_disk_bytes;
  absl::MutexLock lock(&mutex_);
  disk_low_ = is_low;
  if (!is_low) return absl::OkStatus();
  return absl::ResourceExhaustedError("too little free disk");
}

absl::Status JobManager::Impl::StartNext() {
  RETURN_IF_ERROR(store_->health());
  RETURN_IF_ERROR(CheckDisk());
  JobPtr job;
  {
    absl::MutexLock lock(&mutex_);
    const std::optional<std::string> id = ChooseNext(runnable_, shares_);
    if (!id.has_value()) return absl::OkStatus();
    job = BeginChange(*id);
    if (job == nullptr) return absl::OkStatus();
    // It may have been cancelled while we waited for the turn.
    if (!runnable_.Contains(*id) || draining_) {
      EndChange(*job);
      return absl::OkStatus();
    }
    runnable_.Erase(*id);
    // Good for nothing before the state is RUNNING.
    job->token = NewAttemptToken();
  }
  absl::Status status;
  if (absl::StatusOr<v1::Job> record = Record(job->id); record.ok()) {
    JobChange change(*std::move(record), clock_->Now());
    change.MoveTo(v1::RUNNING, reason::kStarted);
    status = CommitChange(job, std::move(change));
  } else {
    status = Abandon(job, record.status());
  }
  if (!status.ok()) {
    absl::MutexLock lock(&mutex_);
    MaybeRunnable(job);
    return status;
  }
  return StartWorker(job);
}

absl::Status JobManager::Impl::StartWorker(const JobPtr& job) {
  WorkerLaunch launch;
  launch.job = JobName(job->id);
  bool cancelled;
  {
    absl::MutexLock lock(&mutex_);
    launch.attempt = job->attempt;
    launch.token = job->token;
    cancelled = job->cancel_requested;
  }
  launch.log_path = files_.LogPath(job->id, launch.attempt);
  absl::Status status;
  if (cancelled) {
    // Between the commit and here; Cancel() found no process to stop.
    status = absl::CancelledError("the job was cancelled");
  } else {
    status = files_.CreateWorkspace(job->id);
    if (status.ok()) status = executor_->Start(launch);
  }
  if (status.ok()) return status;
  {
    absl::MutexLock lock(&mutex_);
    ForgetWorker(job->id, launch.attempt);
  }
  const absl::Status finished =
      FinishAttempt(job->id, launch.attempt,
                    {AttemptEnd::Cause::kStartFailed,
                     Annotate(status, "the worker could not be started")});
  RETURN_IF_ERROR(finished);
  return cancelled ? absl::OkStatus() : status;
}

void JobManager::Impl::SettleDependencies(absl::string_view id) {
  JobPtr job;
  std::vector<std::string> ended;
  {
    absl::MutexLock lock(&mutex_);
    job = BeginChange(id);
    if (job == nullptr) return;
    for (const std::string& dependency : job->waiting_for) {
      if (table_.Find(dependency) == nullptr) ended.push_back(dependency);
    }
    if (job->state != v1::QUEUED || ended.empty()) {
      EndChange(*job);
      return;
    }
  }
  // In a fixed order, so that the one named in the error does not depend on
  // the hash seed.
  std::sort(ended.begin(), ended.end());
  std::string failure;
  for (const std::string& dependency : ended) {
    const absl::StatusOr<v1::Job> record = Record(dependency);
    if (record.ok() && record->state() == v1::SUCCEEDED) continue;
    failure = record.ok() ? absl::StrCat(record->name(), " ended as ",
                                         v1::JobState_Name(record->state()))
                          : std::string(record.status().message());
    break;
  }
  if (failure.empty()) {
    absl::MutexLock lock(&mutex_);
    for (const std::string& dependency : ended) {
      job->waiting_for.erase(dependency);
    }
    MaybeRunnable(job);
    EndChange(*job);
    return;
  }
  absl::StatusOr<v1::Job> record = Record(job->id);
  absl::Status status = record.status();
  if (record.ok()) {
    JobChange change(*std::move(record), clock_->Now());
    *change.record().mutable_error() = ToJobError(absl::FailedPreconditionError(
        absl::StrCat("a job this one depends on did not succeed: ", failure)));
    change.MoveTo(v1::FAILED, reason::kDependencyFailed);
    // If this fails, the store takes no more writes until it is opened again,
    // and the next start settles the job.
    CommitChange(job, std::move(change)).IgnoreError();
  } else {
    Abandon(job, std::move(status)).IgnoreError();
  }
}

void JobManager::Impl::MaintenanceLoop() {
  // Often enough for a lease to end about when it should. The clock may be a
  // test's, so its time is looked at rather than slept for.
  const absl::Duration interval = std::clamp(
      options_.lease / 20, absl::Milliseconds(10), absl::Milliseconds(500));
  absl::Duration next_prune = clock_->Monotonic();
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&stopping_), interval);
      if (stopping_) return;
    }
    ExpireLeases();
    if (clock_->Monotonic() >= next_prune) {
      next_prune = clock_->Monotonic() + kPruneInterval;
      // Old records do no harm; the next round tries again.
      ledger_.Prune(clock_->Now()).IgnoreError();
    }
  }
}

void JobManager::Impl::ExpireLeases() {
  std::vector<LeaseTable::Lease> expired;
  std::vector<WorkerKey> overdue;
  {
    absl::MutexLock lock(&mutex_);
    const absl::Duration now = clock_->Monotonic();
    expired = leases_.TakeExpired(now);
    for (auto& [key, worker] : workers_) {
      if (now >= worker.reap_at) {
        worker.reap_at = absl::InfiniteDuration();
        overdue.push_back(key);
      }
      // A lost worker that does not exit holds its slot, but not its job.
      if (JobPtr job = table_.Find(key.first)) MaybeRunnable(job);
    }
  }
  for (const LeaseTable::Lease& lease : expired) {
    // Fenced before it is stopped. On failure the lease was renewed.
    FinishAttempt(
        lease.job_id, lease.attempt,
        {AttemptEnd::Cause::kWorkerLost,
         absl::UnavailableError(absl::StrCat(
             "no heartbeat for ", absl::FormatDuration(options_.lease)))})
        .IgnoreError();
    executor_->Stop(JobName(lease.job_id), lease.attempt, kLostGrace);
  }
  for (const auto& [id, attempt] : overdue) {
    executor_->Stop(JobName(id), attempt, kLostGrace);
  }
}

}  // namespace quantd
