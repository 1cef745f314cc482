// Reads the tensors that a network's parts ask for, under the names that the
// checkpoint uses.
#ifndef QUANTD_MODELS_NETWORK_TENSOR_LOADER_H_
#define QUANTD_MODELS_NETWORK_TENSOR_LOADER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "models/checkpoint.h"
#include "models/linear.h"
#include "models/network/block_plan.h"
#include "tensor/tensor.h"

namespace quantd {

// The name under which `checkpoint` holds the tensor `name`: itself, or for
// norms the older "gamma" and "beta" in place of "weight" and "bias". Itself
// when the checkpoint has neither.
std::string StoredName(const Checkpoint& checkpoint, const std::string& name);

// As Checkpoint::LoadFloat, by stored name.
absl::StatusOr<Tensor> LoadTensor(const Checkpoint& checkpoint,
                                  const std::string& name,
                                  absl::Span<const int64_t> shape);

// A float or compressed layer.
absl::StatusOr<Linear> LoadLinear(const Checkpoint& checkpoint,
                                  const LinearPlan& plan,
                                  ExecutionContext& ctx);

// The block's tensors that are no linear weight, under their stored names:
// Block::OtherTensors() without loading the block.
std::vector<std::string> StoredNamesOfOthers(const Checkpoint& checkpoint,
                                             const BlockPlan& plan);

// A layer outside the blocks; always float.
absl::StatusOr<Linear> LoadOuterLinear(const Checkpoint& checkpoint,
                                       const LinearDescription& description,
                                       int64_t rows, int64_t cols,
                                       ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_MODELS_NETWORK_TENSOR_LOADER_H_
