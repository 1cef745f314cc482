// One linear layer of a block: y = x W^T + bias, W [out, in], held either as
// float32 or compressed.
//
// Thread-compatible.
#ifndef QUANTD_MODELS_LINEAR_H_
#define QUANTD_MODELS_LINEAR_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "kernels/execution_context.h"
#include "models/compressed_linear.h"
#include "tensor/tensor.h"

namespace quantd {

// What is known of a layer before any weight is read.
struct LinearShape {
  std::string name;
  int64_t rows = 0;
  int64_t cols = 0;
  // Its output is added to the residual stream ({o}, {down}); others read what
  // a norm made of the stream.
  bool writes_residual = false;
};

// A small parameter beside the linear weights, which may be replaced by a
// tensor of its shape, a tracked one too.
struct NamedParameter {
  std::string name;
  Tensor* value;  // what is computed with
};

class Linear {
 public:
  Linear(std::string name, Tensor weight, std::optional<Tensor> bias)
      : name_(std::move(name)),
        weight_(std::move(weight)),
        bias_(std::move(bias)) {}
  // REQUIRES: `weight` has the shape.
  Linear(const LinearShape& shape, Tensor weight, std::optional<Tensor> bias)
      : Linear(shape.name, std::move(weight), std::move(bias)) {
    writes_residual_ = shape.writes_residual;
  }

  // The tensor name without ".weight": "model.layers.3.mlp.down_proj".
  const std::string& name() const { return name_; }
  int64_t rows() const { return weight_.dim(0); }
  int64_t cols() const { return weight_.dim(1); }
  bool writes_residual() const { return writes_residual_; }

  // The float32 weight in use: the original, or what the compressed form
  // decodes to.
  const Tensor& weight() const { return weight_; }
  const std::optional<Tensor>& bias() const { return bias_; }
  // Null where there is none.
  Tensor* mutable_bias() { return bias_.has_value() ? &*bias_ : nullptr; }

  // Null while the layer is in floating point.
  const std::shared_ptr<const CompressedLinear>& compressed() const {
    return compressed_;
  }

  // From now on the layer computes with the compressed weight.
  // REQUIRES: equal shape.
  void SetCompressed(std::shared_ptr<const CompressedLinear> compressed,
                     ExecutionContext& ctx);

  // From now on the layer computes with this float32 weight, which may be
  // tracked. REQUIRES: equal shape.
  void SetWeight(Tensor weight) {
    weight_ = std::move(weight);
    compressed_ = nullptr;
  }

  // x [n, in] -> [n, out].
  Tensor Forward(const Tensor& x, ExecutionContext& ctx) const;

 private:
  std::string name_;
  bool writes_residual_ = false;
  Tensor weight_;
  std::optional<Tensor> bias_;
  std::shared_ptr<const CompressedLinear> compressed_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_LINEAR_H_
