// The jobs that have not ended, as far as scheduling needs to know them. Their
// full records are in the metadata store, which alone is the truth; this is an
// index that costs a few hundred bytes per job.
//
// Thread-compatible; the job manager guards the table and every LiveJob in it
// with its mutex.
#ifndef QUANTD_JOBS_JOB_TABLE_H_
#define QUANTD_JOBS_JOB_TABLE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "jobs/job_change.h"
#include "quantd/v1/job.pb.h"
#include "storage/blob_holds.h"

namespace quantd {

struct LiveJob {
  // The parts of a record that are fixed when the job is made. `reads` are
  // the resources that input resolution found.
  LiveJob(const v1::Job& record, std::vector<std::string> reads);

  // --- constant
  const std::string id;
  const int32_t priority;
  const std::string owner;
  const std::string output_id;
  const std::vector<std::string> reads;
  // Ids of the jobs that must succeed first.
  const std::vector<std::string> after;

  // --- as of the last commit
  v1::JobState state;
  uint32_t attempt;
  bool cancel_requested;

  // Those of `after` that are not known to have succeeded.
  absl::flat_hash_set<std::string> waiting_for;

  // A change of this job is being committed; others wait (JobManager).
  bool changing = false;
  // It has ended and left the table; holders of a pointer let go.
  bool ended = false;

  // --- the current attempt
  std::string token;
  // The server prepares its inputs or publishes its result: the lease does
  // not run, and a loss is noted in `pending_end` and acted on afterwards.
  bool in_server_hands = false;
  std::optional<AttemptEnd> pending_end;
  // The files of its result, from the first report on until the job has left
  // every index: a report may be repeated, and finds them in the store then.
  BlobHolds::Hold output_blobs;
  std::optional<v1::Progress> progress;
  // For the estimate: the first fraction this attempt reported, and when.
  double first_fraction = 0;
  absl::Duration first_progress_at;

  // --- between attempts
  // The worker of a lost attempt may still be writing to the workspace: the
  // next attempt waits for its exit, at most until this time.
  absl::Duration not_before = -absl::InfiniteDuration();
};

class JobTable {
 public:
  using JobPtr = std::shared_ptr<LiveJob>;

  // nullptr when there is none.
  JobPtr Find(absl::string_view id) const;
  void Insert(JobPtr job);
  // Marks the job as ended and removes it.
  void Remove(const JobPtr& job);

  // The job that will make the artifact `output_id`.
  JobPtr FindByOutput(absl::string_view output_id) const;
  // The oldest job that reads `resource`.
  JobPtr ReaderOf(absl::string_view resource) const;
  // Jobs that name `id` in `after`, oldest first.
  std::vector<JobPtr> DependentsOf(absl::string_view id) const;

  // All jobs by id.
  const std::map<std::string, JobPtr, std::less<>>& jobs() const {
    return jobs_;
  }

  // Follows a change of state, for the counts.
  void SetState(LiveJob& job, v1::JobState state);
  int queued() const { return queued_; }
  int running() const { return running_; }

 private:
  void Count(v1::JobState state, int by);

  std::map<std::string, JobPtr, std::less<>> jobs_;
  absl::flat_hash_map<std::string, JobPtr> by_output_;
  absl::flat_hash_map<std::string, absl::btree_set<std::string>> dependents_;
  int queued_ = 0;
  int running_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_JOBS_JOB_TABLE_H_
