#include "jobs/job_manager.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "jobs/job_manager_impl.h"
#include "jobs/job_state.h"

namespace quantd {
namespace {

// A worker that has reported needs a moment to exit by itself.
constexpr absl::Duration kExitTime = absl::Seconds(10);
// Beyond the grace of the workers: for their exits to be seen.
constexpr absl::Duration kDrainSlack = absl::Seconds(2);

JobObserver* NullObserver() {
  static JobObserver* const observer = new JobObserver;
  return observer;
}

}  // namespace

JobManager::Impl::Impl(Options options, MetadataStore* store,
                       ArtifactStore* artifacts, Executor* executor,
                       Clock* clock, JobObserver* observer)
    : options_(std::move(options)),
      store_(store),
      artifacts_(artifacts),
      executor_(executor),
      clock_(clock),
      observer_(observer != nullptr ? observer : NullObserver()),
      files_(options_.data_directory),
      ledger_(store),
      admission_(store, artifacts, options_.data_directory,
                 options_.job_memory_bytes) {}

absl::StatusOr<v1::Job> JobManager::Impl::Record(absl::string_view id) const {
  v1::Job record;
  const absl::Status status = store_->Get(Table::kJobs, id, &record);
  if (absl::IsNotFound(status)) {
    return absl::NotFoundError(absl::StrCat("no job named ", JobName(id)));
  }
  RETURN_IF_ERROR(Annotate(status, JobName(id)));
  return record;
}

JobManager::Impl::JobPtr JobManager::Impl::BeginChange(absl::string_view id) {
  JobPtr job = table_.Find(id);
  if (job == nullptr) return nullptr;
  const auto is_free = [&job] { return !job->changing; };
  mutex_.Await(absl::Condition(&is_free));
  if (job->ended) return nullptr;
  job->changing = true;
  return job;
}

void JobManager::Impl::EndChange(LiveJob& job) { job.changing = false; }

absl::Status JobManager::Impl::Abandon(const JobPtr& job, absl::Status status) {
  absl::MutexLock lock(&mutex_);
  EndChange(*job);
  return status;
}

absl::Status JobManager::Impl::CommitChange(const JobPtr& job, JobChange change,
                                            MetadataBatch batch) {
  change.AppendTo(store_, &batch);
  if (absl::Status status = store_->Commit(batch); !status.ok()) {
    return Abandon(job, Annotate(std::move(status), JobName(job->id)));
  }
  bool remove_workspace;
  {
    absl::MutexLock lock(&mutex_);
    UpdateIndex(job, change.record());
    // A worker that is still alive may write; then its exit cleans up.
    remove_workspace = job->ended && !HasWorker(job->id);
  }
  if (change.record().state() != change.from()) {
    observer_->OnStateChange(change.record(), change.from(),
                             change.record().state_reason());
  }
  watchers_.Notify(job->id);
  if (remove_workspace) files_.RemoveWorkspace(job->id);
  return Abandon(job, absl::OkStatus());
}

void JobManager::Impl::UpdateIndex(const JobPtr& job, const v1::Job& record) {
  const v1::JobState from = job->state;
  job->attempt = record.attempt();
  job->cancel_requested = record.cancel_requested();
  if (record.state() == from) return;
  const absl::Duration now = clock_->Monotonic();
  if (from == v1::RUNNING) {
    leases_.Drop(job->id);
    job->token.clear();
    job->progress.reset();
    job->pending_end.reset();
    job->not_before = now + options_.lease;
    auto worker = workers_.find({job->id, job->attempt});
    if (worker != workers_.end()) worker->second.reap_at = now + kExitTime;
  }
  table_.SetState(*job, record.state());
  if (record.state() == v1::RUNNING) {
    leases_.Grant(job->id, job->attempt, now + options_.lease);
    workers_[{job->id, job->attempt}] = Worker{job->owner};
    shares_.WorkerStarted(job->owner);
  } else if (record.state() == v1::QUEUED) {
    MaybeRunnable(job);
  } else {
    runnable_.Erase(job->id);
    for (const JobPtr& dependent : table_.DependentsOf(job->id)) {
      to_settle_.push_back(dependent->id);
    }
    table_.Remove(job);
    // At once: another thread may have the job in hand a while longer.
    BlobHolds::Hold released = std::move(job->output_blobs);
  }
}

void JobManager::Impl::MaybeRunnable(const JobPtr& job) {
  if (job->ended || job->state != v1::QUEUED || !job->waiting_for.empty()) {
    return;
  }
  const absl::Duration now = clock_->Monotonic();
  if (HasWorker(job->id) && now < job->not_before) return;
  runnable_.Insert({job->id, job->priority, job->owner, now});
}

bool JobManager::Impl::HasWorker(absl::string_view id) const {
  auto it = workers_.lower_bound({std::string(id), 0});
  return it != workers_.end() && it->first.first == id;
}

void JobManager::Impl::Drain(absl::Duration grace) {
  {
    absl::MutexLock lock(&mutex_);
    if (draining_) return;
    draining_ = true;
  }
  // No attempt starts from here on.
  if (dispatcher_.joinable()) dispatcher_.join();
  std::vector<WorkerKey> workers;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [key, worker] : workers_) workers.push_back(key);
  }
  for (const auto& [id, attempt] : workers) {
    executor_->Stop(JobName(id), attempt, grace);
  }
  {
    absl::MutexLock lock(&mutex_);
    const auto is_idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return workers_.empty();
    };
    mutex_.AwaitWithTimeout(absl::Condition(&is_idle), grace + kDrainSlack);
  }
  executor_->Shutdown();
  std::vector<WorkerKey> left;
  {
    absl::MutexLock lock(&mutex_);
    const auto is_done = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return in_hand_ == 0;
    };
    mutex_.Await(absl::Condition(&is_done));
    for (const auto& [id, job] : table_.jobs()) {
      if (job->state == v1::RUNNING) left.emplace_back(id, job->attempt);
    }
  }
  for (const auto& [id, attempt] : left) {
    // A failed commit leaves the job RUNNING in the store; the next start
    // treats it like an attempt of a server that died.
    FinishAttempt(id, attempt,
                  {AttemptEnd::Cause::kServerDrained,
                   absl::UnavailableError("the server was drained")})
        .IgnoreError();
  }
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (maintenance_.joinable()) maintenance_.join();
}

JobManager::JobManager(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

JobManager::~JobManager() { impl_->Drain(absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<JobManager>> JobManager::Start(
    Options options, MetadataStore* store, ArtifactStore* artifacts,
    Executor* executor, Clock* clock, JobObserver* observer) {
  auto impl = std::make_unique<Impl>(std::move(options), store, artifacts,
                                     executor, clock, observer);
  RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<JobManager>(new JobManager(std::move(impl)));
}

absl::StatusOr<v1::Job> JobManager::Submit(
    const v1::CreateJobRequest& request) {
  return impl_->Submit(request);
}

absl::StatusOr<v1::Job> JobManager::Get(absl::string_view name) const {
  return impl_->Get(name);
}

absl::StatusOr<v1::ListJobsResponse> JobManager::List(
    const v1::ListJobsRequest& request) const {
  return impl_->List(request);
}

absl::StatusOr<v1::Job> JobManager::Cancel(absl::string_view name) {
  return impl_->Cancel(name);
}

absl::StatusOr<v1::Job> JobManager::Delete(absl::string_view name) {
  return impl_->Delete(name);
}

absl::StatusOr<v1::ReadJobLogResponse> JobManager::ReadLog(
    const v1::ReadJobLogRequest& request) const {
  return impl_->ReadLog(request);
}

std::string JobManager::ReaderOf(absl::string_view resource) const {
  return impl_->ReaderOf(resource);
}

JobManager::SubscriptionId JobManager::Subscribe(
    absl::string_view job, std::function<void()> on_change) {
  // A name that can be no job's is subscribed to in vain.
  return impl_->watchers().Subscribe(JobIdOf(job).value_or(std::string(job)),
                                     std::move(on_change));
}

void JobManager::Unsubscribe(SubscriptionId id) {
  impl_->watchers().Unsubscribe(id);
}

absl::StatusOr<std::vector<v1::JobEvent>> JobManager::EventsAfter(
    absl::string_view name, uint64_t after, int limit) const {
  return impl_->EventsAfter(name, after, limit);
}

absl::StatusOr<v1::Assignment> JobManager::Claim(const v1::AttemptKey& key) {
  return impl_->Claim(key);
}

absl::StatusOr<v1::HeartbeatResponse> JobManager::Heartbeat(
    const v1::HeartbeatRequest& request) {
  return impl_->Heartbeat(request);
}

absl::Status JobManager::Report(const v1::ReportAttemptRequest& request) {
  return impl_->Report(request);
}

JobManager::Counts JobManager::counts() const { return impl_->counts(); }

std::vector<std::pair<std::string, v1::Progress>> JobManager::training() const {
  return impl_->training();
}

void JobManager::Drain(absl::Duration grace) { impl_->Drain(grace); }

}  // namespace quantd
