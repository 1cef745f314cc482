#include "models/linear.h"

#include "tensor/ops.h"

namespace quantd {

void Linear::SetCompressed(std::shared_ptr<const CompressedLinear> compressed,
                           ExecutionContext& ctx) {
  // Decoded once here rather than per product: a block's float weights are in
  // memory anyway while it is worked on.
  weight_ = compressed->Decode(ctx);
  compressed_ = std::move(compressed);
}

Tensor Linear::Forward(const Tensor& x, ExecutionContext& ctx) const {
  Tensor y = ops::LinearProduct(x, weight_, ctx);
  if (bias_.has_value()) y = ops::AddBias(y, *bias_, ctx);
  return y;
}

}  // namespace quantd
