// The inside of JobManager. Its members are spread over files by subject:
//
//   job_manager.cc             wiring, changing a job, draining
//   job_manager_submission.cc  Submit, Cancel, Delete
//   job_manager_queries.cc     everything that only reads
//   job_manager_attempts.cc    Claim, Heartbeat, Report, lost attempts
//   job_manager_dispatch.cc    recovery and the two threads
//
// How a job changes. The record in the store is the truth; LiveJob is an index
// of it. A change takes the job's turn (BeginChange), reads the record,
// commits the next version without holding the mutex, then brings the index up
// to date and gives the turn back (CommitChange). So changes of one job follow
// each other and changes of different jobs share one fsync.
#ifndef QUANTD_JOBS_JOB_MANAGER_IMPL_H_
#define QUANTD_JOBS_JOB_MANAGER_IMPL_H_

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "jobs/job_admission.h"
#include "jobs/job_change.h"
#include "jobs/job_files.h"
#include "jobs/job_id.h"
#include "jobs/job_manager.h"
#include "jobs/job_scheduler.h"
#include "jobs/job_table.h"
#include "jobs/job_watchers.h"
#include "jobs/lease_table.h"
#include "jobs/request_ledger.h"

namespace quantd {

class JobManager::Impl {
 public:
  Impl(Options options, MetadataStore* store, ArtifactStore* artifacts,
       Executor* executor, Clock* clock, JobObserver* observer);

  // Brings back the jobs of the store and starts the threads.
  absl::Status Start() ABSL_LOCKS_EXCLUDED(mutex_);

  // See JobManager.
  absl::StatusOr<v1::Job> Submit(const v1::CreateJobRequest& request)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<v1::Job> Get(absl::string_view name) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<v1::ListJobsResponse> List(
      const v1::ListJobsRequest& request) const ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<v1::Job> Cancel(absl::string_view name)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<v1::Job> Delete(absl::string_view name)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<v1::ReadJobLogResponse> ReadLog(
      const v1::ReadJobLogRequest& request) const ABSL_LOCKS_EXCLUDED(mutex_);
  std::string ReaderOf(absl::string_view resource) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<std::vector<v1::JobEvent>> EventsAfter(absl::string_view name,
                                                        uint64_t after,
                                                        int limit) const;
  absl::StatusOr<v1::Assignment> Claim(const v1::AttemptKey& key)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<v1::HeartbeatResponse> Heartbeat(
      const v1::HeartbeatRequest& request) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Report(const v1::ReportAttemptRequest& request)
      ABSL_LOCKS_EXCLUDED(mutex_);
  Counts counts() const ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<std::pair<std::string, v1::Progress>> training() const
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Drain(absl::Duration grace) ABSL_LOCKS_EXCLUDED(mutex_);
  JobWatchers& watchers() { return watchers_; }

 private:
  using JobPtr = JobTable::JobPtr;

  // A worker process that was started and has not been seen to exit; it holds
  // a slot.
  struct Worker {
    std::string owner;
    // Its attempt is over: it is stopped if it is still there at this time.
    absl::Duration reap_at = absl::InfiniteDuration();
  };
  // Job id and attempt.
  using WorkerKey = std::pair<std::string, uint32_t>;

  // --- changing a job (job_manager.cc)

  // The job's record as stored. NotFound says so by name.
  absl::StatusOr<v1::Job> Record(absl::string_view id) const;
  // Waits for the job's turn and takes it. nullptr when the job is not live.
  JobPtr BeginChange(absl::string_view id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndChange(LiveJob& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Commits `change` with `batch`, brings the index up to date, tells the
  // observer and the watchers, and gives the turn back, also on failure.
  // REQUIRES: the caller has the job's turn.
  absl::Status CommitChange(const JobPtr& job, JobChange change,
                            MetadataBatch batch = {})
      ABSL_LOCKS_EXCLUDED(mutex_);
  void UpdateIndex(const JobPtr& job, const v1::Job& record)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives the turn back unused.
  absl::Status Abandon(const JobPtr& job, absl::Status status)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Makes the job startable if nothing holds it back.
  void MaybeRunnable(const JobPtr& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasWorker(absl::string_view id) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  // --- submission (job_manager_submission.cc)
  absl::Status Register(const JobPtr& job) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status CheckOutputIsFree(absl::string_view output_id) const;

  // --- queries (job_manager_queries.cc)

  // Adds what is known in memory only: progress, and why a queued job waits.
  void Overlay(v1::Job* record) const ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<std::string> LiveIdsBefore(absl::string_view id) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  // --- attempts (job_manager_attempts.cc)

  // The running job whose current attempt `key` proves to be. Aborted
  // otherwise.
  absl::StatusOr<JobPtr> FindAttempt(const v1::AttemptKey& key) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Waits until the server does not work for the attempt, then marks that it
  // does: the lease stands still and a loss is deferred.
  absl::StatusOr<JobPtr> TakeInHand(const v1::AttemptKey& key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LetGo(const JobPtr& job) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status PublishSuccess(const JobPtr& job,
                              const v1::AttemptSuccess& success);
  absl::Status RecordFailure(const JobPtr& job, const v1::JobError& error);
  absl::Status RecordMessages(const v1::HeartbeatRequest& request);
  // Ends the attempt if it is still the job's current one. `in_hand`: the
  // caller has taken the job in hand, so there is nothing to defer to.
  enum class Hand { kFree, kOurs };
  absl::Status FinishAttempt(absl::string_view id, uint32_t attempt,
                             AttemptEnd end, Hand hand = Hand::kFree)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void OnWorkerExit(const WorkerExit& exit) ABSL_LOCKS_EXCLUDED(mutex_);
  void ForgetWorker(absl::string_view id, uint32_t attempt)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RememberReport(const v1::AttemptKey& key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool WasReported(const v1::AttemptKey& key) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  // --- dispatch (job_manager_dispatch.cc)
  absl::Status Recover() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status RecoverJob(const v1::Job& record) ABSL_LOCKS_EXCLUDED(mutex_);
  void DispatchLoop() ABSL_LOCKS_EXCLUDED(mutex_);
  bool CanStart() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Starts one attempt. An error means that trying again at once is no use.
  absl::Status StartNext() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status CheckDisk() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status StartWorker(const JobPtr& job) ABSL_LOCKS_EXCLUDED(mutex_);
  // Looks again at what the job waits for; starts or fails it accordingly.
  void SettleDependencies(absl::string_view id) ABSL_LOCKS_EXCLUDED(mutex_);
  void MaintenanceLoop() ABSL_LOCKS_EXCLUDED(mutex_);
  void ExpireLeases() ABSL_LOCKS_EXCLUDED(mutex_);

  const Options options_;
  MetadataStore* const store_;
  ArtifactStore* const artifacts_;
  Executor* const executor_;
  Clock* const clock_;
  JobObserver* const observer_;
  JobFiles files_;
  RequestLedger ledger_;
  JobAdmission admission_;
  JobWatchers watchers_;
  // Set by Recover(), then constant.
  std::unique_ptr<JobIdGenerator> ids_;

  // Never held across commits, executor calls, observers or watchers.
  mutable absl::Mutex mutex_;
  JobTable table_ ABSL_GUARDED_BY(mutex_);
  RunnableQueue runnable_ ABSL_GUARDED_BY(mutex_);
  OwnerShares shares_ ABSL_GUARDED_BY(mutex_);
  LeaseTable leases_ ABSL_GUARDED_BY(mutex_);
  std::map<WorkerKey, Worker> workers_ ABSL_GUARDED_BY(mutex_);
  // Jobs whose dependencies have to be looked at again.
  std::deque<std::string> to_settle_ ABSL_GUARDED_BY(mutex_);
  // Attempts that ended by a report, so that a repeated report whose first
  // answer was lost is answered OK.
  std::deque<v1::AttemptKey> reported_ ABSL_GUARDED_BY(mutex_);
  // Attempts the server is working for.
  int in_hand_ ABSL_GUARDED_BY(mutex_) = 0;
  bool disk_low_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // Started by Start(), joined by Drain().
  std::thread dispatcher_;
  std::thread maintenance_;
};

}  // namespace quantd

#endif  // QUANTD_JOBS_JOB_MANAGER_IMPL_H_
