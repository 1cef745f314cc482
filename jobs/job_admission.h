// Whether a job can run here, from headers alone: a group size that divides
// nothing, or a model that does not fit the memory, is refused at submission
// and not an hour later.
//
// Thread-safe.
#ifndef QUANTD_JOBS_JOB_ADMISSION_H_
#define QUANTD_JOBS_JOB_ADMISSION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "models/model_footprint.h"
#include "quantd/v1/artifact.pb.h"
#include "quantd/v1/forecast.pb.h"
#include "quantd/v1/job.pb.h"
#include "quantd/v1/model.pb.h"
#include "storage/artifact_store.h"
#include "storage/metadata_store.h"

namespace quantd {

class JobAdmission {
 public:
  // The stores must outlive the object. `job_memory_bytes`: what a job may use
  // at most; 0 = any amount.
  JobAdmission(const MetadataStore* store, const ArtifactStore* artifacts,
               std::string data_directory, uint64_t job_memory_bytes)
      : store_(*store),
        artifacts_(*artifacts),
        data_directory_(std::move(data_directory)),
        job_memory_bytes_(job_memory_bytes) {}

  // What the job may use: its own limit, or everybody's.
  uint64_t MemoryLimitOf(const v1::JobSpec& spec) const {
    return spec.memory_bytes() > 0 ? spec.memory_bytes() : job_memory_bytes_;
  }

  // `spec` is complete, with canonical names. InvalidArgument: the recipe does
  // not fit the model. ResourceExhausted: memory or disk do not suffice, with
  // the numbers. No forecast when the input cannot be read just now; that is
  // left to the attempt, which reports it with all context: a passing fault of
  // a file system must not refuse a submission.
  absl::StatusOr<std::optional<v1::Forecast>> Admit(const v1::JobSpec& spec);

 private:
  using FootprintPtr = std::shared_ptr<const ModelFootprint>;

  absl::StatusOr<std::optional<v1::Forecast>> ForecastQuantize(
      const v1::JobSpec& spec);
  absl::StatusOr<std::optional<v1::Forecast>> ForecastEvaluate(
      const v1::JobSpec& spec);

  // Null when its files cannot be read.
  FootprintPtr FootprintOfModel(absl::string_view name);
  FootprintPtr FootprintOfArtifact(absl::string_view name);
  // Of what the job `name` will have made.
  FootprintPtr FootprintOfOutput(absl::string_view name);
  FootprintPtr FootprintOfTarget(const std::string& target);
  // 0 when there is none.
  uint64_t TextBytes(absl::string_view dataset) const;

  FootprintPtr FindKnown(const std::string& digest) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remember(const std::string& digest, const FootprintPtr& footprint)
      ABSL_LOCKS_EXCLUDED(mutex_);

  const MetadataStore& store_;
  const ArtifactStore& artifacts_;
  const std::string data_directory_;
  const uint64_t job_memory_bytes_;

  absl::Mutex mutex_;
  // By digest of the model or artifact: submissions come by the thousand for a
  // few models, and reading headers costs more than the durable write.
  absl::flat_hash_map<std::string, FootprintPtr> known_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quantd

#endif  // QUANTD_JOBS_JOB_ADMISSION_H_
