// Every operation as a plain loop with double accumulators: readable, slow and
// right. The oracle of the kernel tests, and the last resort of the CPU
// device. Contracts: kernels/device.h.
#ifndef QUANTD_KERNELS_REFERENCE_REFERENCE_KERNELS_H_
#define QUANTD_KERNELS_REFERENCE_REFERENCE_KERNELS_H_

#include "kernels/device.h"

namespace quantd::reference {

void Gemm(const GemmArgs& args);
void AccumulateGram(const float* x, int64_t rows, int64_t cols, double* gram);
void RmsNorm(const float* x, const float* weight, float eps, int64_t rows,
             int64_t cols, float* y);
void LayerNorm(const float* x, const float* weight, const float* bias,
               float eps, int64_t rows, int64_t cols, float* y);
void Rotary(const RotaryArgs& args);
void Attention(const AttentionArgs& args);
void Activate(Activation activation, const float* x, int64_t count, float* y);
void ActivateMul(Activation activation, const float* gate, const float* up,
                 int64_t count, float* y);
void Softcap(float cap, int64_t count, float* x);
void CausalConv(const CausalConvArgs& args);
void SelectiveScan(const SelectiveScanArgs& args);
void Add(const float* x, int64_t count, float* y);
void AddBias(const float* bias, int64_t rows, int64_t cols, float* y);
void NegativeLogLikelihood(const float* logits, const int32_t* targets,
                           int64_t rows, int64_t cols, double* nll);
void DecodePackedInt(const PackedIntArgs& args);

void FindNearestCentroids(const NearestCentroidArgs& args);

}  // namespace quantd::reference

#endif  // QUANTD_KERNELS_REFERENCE_REFERENCE_KERNELS_H_
