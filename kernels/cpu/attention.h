// Causal attention of the CPU device: per sequence and head, blocks of query
// rows against the keys they may see. Contract: Device::CausalAttention.
#ifndef QUANTD_KERNELS_CPU_ATTENTION_H_
#define QUANTD_KERNELS_CPU_ATTENTION_H_

#include "kernels/device.h"

namespace quantd::cpu {

void CausalAttention(const AttentionArgs& args, ThreadPool& pool);

}  // namespace quantd::cpu

#endif  // QUANTD_KERNELS_CPU_ATTENTION_H_
