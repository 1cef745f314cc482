// Blocked multi-head attention: products by the device's GEMM over blocks of
// query rows, keys that no row of a block sees are skipped. Contract:
// kernels/device.h.
#ifndef QUANTD_KERNELS_CPU_ATTENTION_H_
#define QUANTD_KERNELS_CPU_ATTENTION_H_

#include "kernels/backward.h"
#include "kernels/device.h"
#include "kernels/thread_pool.h"

namespace quantd::cpu {

void Attention(const AttentionArgs& args, ThreadPool& pool);

// Contract: kernels/backward.h.
void AttentionBackward(const AttentionArgs& args,
                       const AttentionGradients* gradients, ThreadPool& pool);

}  // namespace quantd::cpu

#endif  // QUANTD_KERNELS_CPU_ATTENTION_H_
