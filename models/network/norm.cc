#include "models/network/norm.h"

#include <algorithm>

#include "base/status_macros.h"
#include "models/network/tensor_loader.h"
#include "tensor/ops.h"

namespace quantd {

absl::StatusOr<Norm> Norm::Load(const Checkpoint& checkpoint,
                                const NormDescription& description,
                                const std::string& prefix, int64_t width) {
  Norm norm;
  norm.description_ = description;
  if (!description.present()) return norm;
  norm.name_ = prefix + description.name;
  if (description.weight) {
    ASSIGN_OR_RETURN(norm.weight_,
                     LoadTensor(checkpoint, norm.name_ + ".weight", {width}));
  } else {
    norm.weight_ = Tensor::Zeros({width});
    std::fill_n(norm.weight_.data(), width, 1.0f);
  }
  for (float& w : norm.weight_.values()) w += description.weight_offset;
  if (description.bias) {
    ASSIGN_OR_RETURN(norm.bias_,
                     LoadTensor(checkpoint, norm.name_ + ".bias", {width}));
  }
  return norm;
}

void Norm::AppendParameters(std::vector<NamedParameter>* parameters) {
  if (description_.present() && description_.weight) {
    parameters->push_back({name_ + ".weight", &weight_});
  }
  if (description_.present() && description_.bias) {
    parameters->push_back({name_ + ".bias", &bias_});
  }
}

Tensor Norm::Apply(const Tensor& x, ExecutionContext& ctx) const {
  if (!present()) return x;
  if (description_.kind == NormDescription::Kind::kRms) {
    return ops::RmsNorm(x, weight_, description_.epsilon, ctx);
  }
  return ops::LayerNorm(x, weight_, bias_, description_.epsilon, ctx);
}

}  // namespace quantd
