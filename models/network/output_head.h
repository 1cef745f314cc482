// Hidden states after the last block to logits, as HeadDescription says.
//
// Thread-compatible.
#ifndef QUANTD_MODELS_NETWORK_OUTPUT_HEAD_H_
#define QUANTD_MODELS_NETWORK_OUTPUT_HEAD_H_

#include <optional>

#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "models/checkpoint.h"
#include "models/linear.h"
#include "models/model_description.h"
#include "models/network/norm.h"
#include "tensor/tensor.h"

namespace quantd {

class OutputHead {
 public:
  // `description` outlives the result.
  static absl::StatusOr<OutputHead> Load(const Checkpoint& checkpoint,
                                         const ModelDescription& description,
                                         ExecutionContext& ctx);

  // hidden [n, hidden] -> [n, vocabulary].
  Tensor Logits(const Tensor& hidden, ExecutionContext& ctx) const;

 private:
  explicit OutputHead(const HeadDescription& description)
      : description_(&description) {}

  const HeadDescription* description_;
  Norm norm_;
  std::optional<Linear> projection_;
  std::optional<Linear> transform_;
  Norm transform_norm_;
  Tensor output_;  // [vocabulary, width]
  Tensor bias_;    // empty when there is none
};

}  // namespace quantd

#endif  // QUANTD_MODELS_NETWORK_OUTPUT_HEAD_H_
