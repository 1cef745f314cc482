// Gradients over rows and flat arrays, compiled with Highway for every
// instruction set of the architecture and dispatched at run time. Each call
// runs on the calling thread; cpu_device.cc cuts the work. Contracts:
// kernels/backward.h.
#ifndef QUANTD_KERNELS_CPU_BACKWARD_KERNELS_H_
#define QUANTD_KERNELS_CPU_BACKWARD_KERNELS_H_

#include <cstdint>

#include "kernels/backward.h"
#include "kernels/device.h"

namespace quantd::cpu {

// `centred`: LayerNorm, otherwise RmsNorm.
void NormBackwardRows(const NormBackwardArgs& args, bool centred);

void ActivateBackwardRange(Activation activation, const float* x,
                           const float* dy, int64_t count, float* dx);

void SoftcapBackwardRange(float cap, const float* y, const float* dy,
                          int64_t count, float* dx);

void MultiplyRange(const float* x, const float* y, int64_t count, float* z);

// x *= factor.
void ScaleRange(float factor, int64_t count, float* x);

// sum_i x[i] * y[i], in float32 lanes.
float DotRange(const float* x, const float* y, int64_t count);

// In place, of one row of attention: p becomes p * (dp - mean).
void SoftmaxBackwardRow(const float* dp, float mean, int64_t count, float* p);

}  // namespace quantd::cpu

#endif  // QUANTD_KERNELS_CPU_BACKWARD_KERNELS_H_
