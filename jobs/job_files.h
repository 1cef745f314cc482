// What jobs keep on disk below the data directory:
//
//   workspaces/<job id>/          survives attempts, removed when the job ends
//   logs/<job id>.<attempt>.log   standard output and error of a worker
//   inputs/<artifact digest>/     an artifact as a directory of links to blobs
//   statistics/                   of calibration, shared by jobs
//
// Thread-safe.
#ifndef QUANTD_JOBS_JOB_FILES_H_
#define QUANTD_JOBS_JOB_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "quantd/v1/artifact.pb.h"
#include "quantd/v1/job.pb.h"
#include "storage/artifact_store.h"

namespace quantd {

class JobFiles {
 public:
  explicit JobFiles(const std::string& data_directory);

  // Creates the directories. Links of an earlier server are removed: no
  // worker reads them any more, and they are cheap to make again.
  absl::Status Prepare();

  const std::string& data_directory() const { return data_directory_; }
  std::string Workspace(absl::string_view job_id) const;
  std::string LogPath(absl::string_view job_id, uint32_t attempt) const;
  std::string StatisticsDirectory() const;
  std::string ScoreDirectory() const;

  absl::Status CreateWorkspace(absl::string_view job_id) const;
  // Fine if there is none.
  void RemoveWorkspace(absl::string_view job_id) const;
  // The ids of the jobs that have a workspace.
  std::vector<std::string> ListWorkspaces() const;

  // Removes the logs of attempts 1..`attempts`.
  void RemoveLogs(absl::string_view job_id, uint32_t attempts) const;
  // At most kMaxLogChunk bytes from `offset`; empty when there is no such
  // file (nothing was written yet). OutOfRange beyond the end.
  absl::StatusOr<std::string> ReadLog(absl::string_view job_id,
                                      uint32_t attempt, uint64_t offset) const;

  // The directory that shows `artifact` file by file. Every blob is compared
  // with its digest first (DataLoss). The directory appears whole.
  absl::StatusOr<std::string> MaterialiseInput(const v1::Artifact& artifact,
                                               const ArtifactStore& artifacts)
      ABSL_LOCKS_EXCLUDED(inputs_mutex_);

  static constexpr size_t kMaxLogChunk = 256 * 1024;

 private:
  const std::string data_directory_;
  const std::string workspaces_;
  const std::string logs_;
  const std::string inputs_;
  // One builder at a time; readers of finished directories need no lock.
  absl::Mutex inputs_mutex_;
};

// OK when `path` is relative, "/"-separated, stays below its directory and has
// no component that is empty, "." or "..".
absl::Status CheckRelativePath(absl::string_view path);

}  // namespace quantd

#endif  // QUANTD_JOBS_JOB_FILES_H_
