// How far a compressed weight is from its original, in the two measures that
// every layer report carries.
#ifndef QUANTD_QUANTIZERS_LAYER_ERROR_H_
#define QUANTD_QUANTIZERS_LAYER_ERROR_H_

#include "kernels/execution_context.h"
#include "tensor/tensor.h"

namespace quantd {

// ||W - What||^2 / ||W||^2 (Frobenius); 0 when both are zero.
double RelativeWeightError(const Tensor& original, const Tensor& compressed);

// tr(D H D^T) / tr(W H W^T), D = W - What: the relative error of the layer's
// output over the calibration inputs. `h` [cols, cols] is H in float32; layers
// that share their inputs share it.
double RelativeOutputError(const Tensor& original, const Tensor& compressed,
                           const Tensor& h, ExecutionContext& ctx);

// tr(M H M^T), M [rows, cols].
double OutputEnergy(const Tensor& m, const Tensor& h, ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_LAYER_ERROR_H_
