// JobManager: the only writer of job state. It queues jobs durably, starts
// their attempts on an executor, keeps leases, and recovers on start.
//
//   client          JobManager                    executor       worker
//   Submit    --->  QUEUED (synced)
//                   RUNNING, attempt n (synced) -> Start  ---->  Claim
//                                                                Heartbeat ...
//                   artifact + SUCCEEDED (synced) <------------  Report
//
// State only moves forward (job_state.h), every change is durable before it
// is told to anyone, and every change appends an event. A worker that misses
// its lease or whose process ends without a report loses the attempt: the job
// goes back to QUEUED with attempt + 1 until max_attempts. Reports of an
// attempt that is no longer current are refused (Aborted): results are
// published exactly once.
//
// Thread-safe. No lock is held across store writes that may block readers,
// executor calls or callbacks.
#ifndef QUANTD_JOBS_JOB_MANAGER_H_
#define QUANTD_JOBS_JOB_MANAGER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "jobs/clock.h"
#include "jobs/executor.h"
#include "quantd/v1/job.pb.h"
#include "quantd/v1/worker.pb.h"
#include "storage/artifact_store.h"
#include "storage/metadata_store.h"

namespace quantd {

// What happened, for metrics and logs; implemented by the server.
class JobObserver {
 public:
  virtual ~JobObserver() = default;
  virtual void OnSubmitted(const v1::Job& job, bool deduplicated) {}
  // After the change is durable.
  virtual void OnStateChange(const v1::Job& job, v1::JobState from,
                             absl::string_view reason) {}
  virtual void OnAttemptLost(const v1::Job& job, absl::string_view why) {}
  virtual void OnReportRefused(absl::string_view job, uint32_t attempt) {}
  // With every heartbeat: the worker's resident memory now.
  virtual void OnWorkerMemory(absl::string_view job, uint64_t bytes) {}
};

class JobManager {
 public:
  struct Options {
    // <data-dir>; workspaces, logs and materialised inputs live below it.
    std::string data_directory;
    absl::Duration lease = absl::Seconds(15);
    absl::Duration cancel_grace = absl::Seconds(10);
    // Queued jobs beyond this are refused with ResourceExhausted.
    int max_queued = 100000;
    // Start of an attempt is refused (job stays queued) below this much free
    // disk.
    uint64_t min_free_disk_bytes = UINT64_C(256) << 20;
    // What a job may use of memory (v1.Forecast); one that needs more is
    // refused. 0 = any amount.
    uint64_t job_memory_bytes = 0;
    // Calibration statistics kept for other jobs; 0 = none.
    uint64_t statistics_bytes = 0;
    // The same of scores that evaluations can use.
    uint64_t score_bytes = 0;
  };

  // The store, artifact store, executor, clock and observer must outlive the
  // manager; `observer` may be null. Recovers: attempts that were running when
  // the last server died are lost (their workers are answered Aborted), but do
  // not count against max_attempts (job_change.h). DataLoss when a stored job
  // cannot be read.
  static absl::StatusOr<std::unique_ptr<JobManager>> Start(
      Options options, MetadataStore* store, ArtifactStore* artifacts,
      Executor* executor, Clock* clock, JobObserver* observer);
  ~JobManager();

  // --- clients -----------------------------------------------------------

  // Durable when it returns OK. See JobService.CreateJob for the errors.
  absl::StatusOr<v1::Job> Submit(const v1::CreateJobRequest& request);

  absl::StatusOr<v1::Job> Get(absl::string_view name) const;
  absl::StatusOr<v1::ListJobsResponse> List(
      const v1::ListJobsRequest& request) const;
  absl::StatusOr<v1::Job> Cancel(absl::string_view name);
  absl::StatusOr<v1::Job> Delete(absl::string_view name);
  absl::StatusOr<v1::ReadJobLogResponse> ReadLog(
      const v1::ReadJobLogRequest& request) const;

  // Whether a job that has not ended reads `resource` ("models/x",
  // "datasets/x", "artifacts/x"); the first such job's name, or empty.
  std::string ReaderOf(absl::string_view resource) const;

  // Calls `on_change` (from an arbitrary thread, without locks held) whenever
  // the job has a new event or progress, until the returned id is passed to
  // Unsubscribe(); after that returns, `on_change` is not called again.
  // `on_change` must not call Unsubscribe() for its own id.
  using SubscriptionId = uint64_t;
  SubscriptionId Subscribe(absl::string_view job,
                           std::function<void()> on_change);
  void Unsubscribe(SubscriptionId id);

  // The job's events with sequence > after, oldest first, at most `limit`.
  absl::StatusOr<std::vector<v1::JobEvent>> EventsAfter(absl::string_view name,
                                                        uint64_t after,
                                                        int limit) const;

  // --- workers -----------------------------------------------------------

  absl::StatusOr<v1::Assignment> Claim(const v1::AttemptKey& key);
  absl::StatusOr<v1::HeartbeatResponse> Heartbeat(
      const v1::HeartbeatRequest& request);
  absl::Status Report(const v1::ReportAttemptRequest& request);

  // --- service -----------------------------------------------------------

  // Jobs by state, for gauges: QUEUED and RUNNING only.
  struct Counts {
    int queued = 0;
    int running = 0;
    // Age of the oldest job that could run but waits for a slot.
    absl::Duration oldest_queued = absl::ZeroDuration();
  };
  Counts counts() const;

  // Running jobs that descend along gradients, by id, and their progress, which
  // has the latest step.
  std::vector<std::pair<std::string, v1::Progress>> training() const;

  // Refuses new jobs, stops the workers after at most `grace` (their attempts
  // do not count: the jobs are QUEUED again with the same attempts left), shuts
  // the executor down and joins. Workers are told to stop at once and killed
  // after `grace`; their calls must be served meanwhile. Called once; the
  // destructor calls it with zero grace otherwise.
  void Drain(absl::Duration grace);

 private:
  class Impl;
  explicit JobManager(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace quantd

#endif  // QUANTD_JOBS_JOB_MANAGER_H_
