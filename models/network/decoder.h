// The network that all families share: embedding, a row of blocks, a head, put
// together from ModelDescription. Written once over tensor operations
// (tensor/ops.h); its parts lie beside this file.
#ifndef QUANTD_MODELS_NETWORK_DECODER_H_
#define QUANTD_MODELS_NETWORK_DECODER_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/model.h"

namespace quantd {

// `description` is that of the checkpoint.
std::unique_ptr<Model> NewDecoder(std::shared_ptr<const Checkpoint> checkpoint,
                                  ModelDescription description,
                                  const ModelOptions& options);

// Whether every tensor that the network reads is in the checkpoint with its
// shape, from headers alone. NotFound or InvalidArgument names the first
// tensor that is not.
absl::Status CheckDecoderTensors(const Checkpoint& checkpoint,
                                 const ModelDescription& description);

}  // namespace quantd

#endif  // QUANTD_MODELS_NETWORK_DECODER_H_
