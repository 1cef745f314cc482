// Operations over rows and flat arrays, compiled with Highway for every
// instruction set of the architecture and dispatched at run time. Each call
// runs on the calling thread; cpu_device.cc cuts the work. Contracts:
// kernels/device.h.
#ifndef QUANTD_KERNELS_CPU_ROW_KERNELS_H_
#define QUANTD_KERNELS_CPU_ROW_KERNELS_H_

#include <cstddef>
#include <cstdint>

namespace quantd::cpu {

void RmsNormRows(const float* x, const float* weight, float eps, int64_t rows,
                 int64_t cols, float* y);

// In place: row r of `scores` becomes softmax(scale * scores[r, 0 ..
// visible + r]), the rest of the row zero. For one block of query rows of
// causal attention.
void CausalSoftmaxRows(float* scores, int64_t rows, int64_t cols, int64_t ld,
                       int64_t visible, float scale);

void SiluMulRange(const float* gate, const float* up, int64_t count, float* y);

void AddRange(const float* x, int64_t count, float* y);

// log(sum(exp(row))) in float64 over one row.
double LogSumExpRow(const float* row, int64_t cols);

}  // namespace quantd::cpu

#endif  // QUANTD_KERNELS_CPU_ROW_KERNELS_H_
