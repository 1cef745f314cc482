// Normalisation of rows, as NormDescription says.
//
// Thread-compatible.
#ifndef QUANTD_MODELS_NETWORK_NORM_H_
#define QUANTD_MODELS_NETWORK_NORM_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "models/checkpoint.h"
#include "models/linear.h"
#include "models/model_description.h"
#include "tensor/tensor.h"

namespace quantd {

class Norm {
 public:
  // The identity.
  Norm() = default;

  // The identity when the description has no name.
  static absl::StatusOr<Norm> Load(const Checkpoint& checkpoint,
                                   const NormDescription& description,
                                   const std::string& prefix, int64_t width);

  bool present() const { return description_.present(); }

  // Gain and shift, where they are stored.
  void AppendParameters(std::vector<NamedParameter>* parameters);

  // x [rows, width].
  Tensor Apply(const Tensor& x, ExecutionContext& ctx) const;

 private:
  NormDescription description_;
  std::string name_;  // with the prefix
  Tensor weight_;     // with the offset added; empty when there is none
  Tensor bias_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_NETWORK_NORM_H_
