// Operations over rows and flat arrays, compiled with Highway for every
// instruction set of the architecture and dispatched at run time. Each call
// runs on the calling thread; cpu_device.cc cuts the work. Contracts:
// kernels/device.h.
#ifndef QUANTD_KERNELS_CPU_ROW_KERNELS_H_
#define QUANTD_KERNELS_CPU_ROW_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "kernels/device.h"

namespace quantd::cpu {

void RmsNormRows(const float* x, const float* weight, float eps, int64_t rows,
                 int64_t cols, float* y);

// weight and bias may be null.
void LayerNormRows(const float* x, const float* weight, const float* bias,
                   float eps, int64_t rows, int64_t cols, float* y);

// In place: softmax(scale * row) over [begin, end), zero elsewhere.
void SoftmaxRow(float* row, int64_t cols, int64_t begin, int64_t end,
                float scale);

// x = cap * tanh(scale * x / cap).
void SoftcapRange(float scale, float cap, int64_t count, float* x);

// x = scale * x + bias.
void ScaleAddRange(float scale, const float* bias, int64_t count, float* x);

void ActivateRange(Activation activation, const float* x, int64_t count,
                   float* y);

void ActivateMulRange(Activation activation, const float* gate, const float* up,
                      int64_t count, float* y);

// All of args.rows.
void RotaryRows(const RotaryArgs& args);

void AddRange(const float* x, int64_t count, float* y);

// log(sum(exp(row))) in float64 over one row.
double LogSumExpRow(const float* row, int64_t cols);

}  // namespace quantd::cpu

#endif  // QUANTD_KERNELS_CPU_ROW_KERNELS_H_
