// Which tensors a network reads, by name and shape, derived from its
// description without reading any weight. Loading, checking, quantization and
// forecasts all go by the same plan.
#ifndef QUANTD_MODELS_NETWORK_BLOCK_PLAN_H_
#define QUANTD_MODELS_NETWORK_BLOCK_PLAN_H_

#include <string>
#include <vector>

#include "models/linear.h"
#include "models/model_description.h"
#include "tensor/tensor.h"

namespace quantd {

// A linear layer that recipes may compress.
struct LinearPlan : LinearShape {
  bool bias = false;
  bool transposed = false;
};

// A tensor that is read as it is stored.
struct TensorPlan {
  std::string name;
  Shape shape;
};

struct BlockPlan {
  std::string name;  // "model.layers.3"
  // In order of computation.
  std::vector<LinearPlan> linears;
  // Indices into `linears`: layers of one set read the same input.
  std::vector<std::vector<int>> sets;
  // Norms, routers, convolutions; not the biases of `linears`.
  std::vector<TensorPlan> tensors;
};

BlockPlan PlanBlock(const ModelDescription& description, int block);

// Embedding, final norm, head: the tensors outside the blocks.
std::vector<TensorPlan> PlanOuterTensors(const ModelDescription& description);

// A linear layer outside the set of those that recipes compress, as tensors.
void AppendTensors(const LinearDescription& linear, const std::string& prefix,
                   int64_t rows, int64_t cols,
                   std::vector<TensorPlan>* tensors);

}  // namespace quantd

#endif  // QUANTD_MODELS_NETWORK_BLOCK_PLAN_H_
