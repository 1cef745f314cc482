// The operations of kernels/backward.h as plain loops in float64: the oracle of
// the kernel tests, and what the CPU device falls back on.
#ifndef QUANTD_KERNELS_REFERENCE_BACKWARD_KERNELS_H_
#define QUANTD_KERNELS_REFERENCE_BACKWARD_KERNELS_H_

#include "kernels/backward.h"
#include "kernels/device.h"

namespace quantd::reference {

void RmsNormBackward(const NormBackwardArgs& args);
void LayerNormBackward(const NormBackwardArgs& args);
void AttentionBackward(const AttentionArgs& args,
                       const AttentionGradients* gradients);
void ActivateBackward(Activation activation, const float* x, const float* dy,
                      int64_t count, float* dx);
void SoftcapBackward(float cap, const float* y, const float* dy, int64_t count,
                     float* dx);
void Multiply(const float* x, const float* y, int64_t count, float* z);
void SumRows(const float* x, int64_t rows, int64_t cols, double* sums);
void NegativeLogLikelihoodBackward(const float* logits, const int32_t* targets,
                                   const double* dnll, int64_t rows,
                                   int64_t cols, float* dlogits);
void KlDivergence(const float* teacher, const float* student, float temperature,
                  int64_t rows, int64_t cols, double* kl);
void KlDivergenceBackward(const float* teacher, const float* student,
                          float temperature, const double* dkl, int64_t rows,
                          int64_t cols, float* dstudent);
void CausalConvBackward(const CausalConvBackwardArgs& args);
void SelectiveScanBackward(const SelectiveScanBackwardArgs& args);

}  // namespace quantd::reference

#endif  // QUANTD_KERNELS_REFERENCE_BACKWARD_KERNELS_H_
