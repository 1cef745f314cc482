// Whether a recipe can run on a registered model, from headers alone, so that
// a group size that divides nothing is refused at submission and not an hour
// later.
//
// Thread-safe.
#ifndef QUANTD_JOBS_MODEL_FIT_H_
#define QUANTD_JOBS_MODEL_FIT_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "models/model_description.h"
#include "quantd/v1/job.pb.h"
#include "quantd/v1/model.pb.h"
#include "storage/metadata_store.h"

namespace quantd {

class ModelFit {
 public:
  // `spec` has canonical names and a resolved recipe. InvalidArgument as
  // CheckRecipeFits(). A checkpoint that cannot be read just now is left to
  // the attempt, which reports it with all context: a passing fault of a file
  // system must not refuse a submission.
  absl::Status Check(const MetadataStore& store, const v1::QuantizeSpec& spec);

 private:
  using DescriptionPtr = std::shared_ptr<const ModelDescription>;

  // Null when the checkpoint cannot be read.
  DescriptionPtr Describe(const v1::Model& model);

  absl::Mutex mutex_;
  // By model digest: submissions come by the thousand for a few models, and
  // reading headers costs more than the durable write.
  absl::flat_hash_map<std::string, DescriptionPtr> known_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace quantd

#endif  // QUANTD_JOBS_MODEL_FIT_H_
