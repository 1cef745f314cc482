// A change of a whole network that keeps its function and its architecture:
// made before a recipe's first block, as a checkpoint in the run's workspace
// that the rest of the recipe takes for its source.
//
// Immutable and thread-safe.
#ifndef QUANTD_QUANTIZERS_CHECKPOINT_TRANSFORM_H_
#define QUANTD_QUANTIZERS_CHECKPOINT_TRANSFORM_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "kernels/execution_context.h"
#include "models/checkpoint.h"
#include "models/model_description.h"
#include "models/model_footprint.h"

namespace quantd {

class CheckpointTransform {
 public:
  virtual ~CheckpointTransform() = default;

  // The same words for equal results on equal sources.
  virtual std::string Describe() const = 0;

  // Writes the changed checkpoint into `directory`, which exists. Whole shards
  // that are there are kept: they are of an earlier call with the same
  // arguments. The bytes depend on the arguments only. REQUIRES: the stage's
  // ValidateModel(model) was OK.
  virtual absl::Status Write(const Checkpoint& source,
                             const ModelDescription& model,
                             const std::string& directory,
                             ExecutionContext& ctx) const = 0;

  // What the changed checkpoint weighs, given the source.
  virtual ModelFootprint Footprint(const ModelFootprint& source) const = 0;
  // On disk, and in memory while it is written.
  virtual uint64_t CheckpointBytes(const ModelDescription& model) const = 0;
  virtual uint64_t WorkingBytes(const ModelDescription& model) const = 0;
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_CHECKPOINT_TRANSFORM_H_
