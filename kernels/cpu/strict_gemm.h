// Products whose elements are sums in the order of their terms: ComputeType
// kF32Strict. Element (i, j) is
//   fma(a[i, k-1], b[k-1, j], ... fma(a[i, 0], b[0, j], 0)) + beta c[i, j],
// whatever else the product holds, so that a row's result is the same alone, in
// a batch, and as part of any cut. (Without fused instructions each step rounds
// twice; still the same one everywhere on a machine.)
//
// Thread-safe; runs on the calling thread.
#ifndef QUANTD_KERNELS_CPU_STRICT_GEMM_H_
#define QUANTD_KERNELS_CPU_STRICT_GEMM_H_

#include "kernels/device.h"

namespace quantd::cpu {

// REQUIRES: m, n and k are positive.
void StrictGemm(const GemmArgs& args);

}  // namespace quantd::cpu

#endif  // QUANTD_KERNELS_CPU_STRICT_GEMM_H_
