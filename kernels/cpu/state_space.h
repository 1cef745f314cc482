// The selective scan over pieces of channels: channels are independent of each
// other, tokens are not. Contract: kernels/device.h.
#ifndef QUANTD_KERNELS_CPU_STATE_SPACE_H_
#define QUANTD_KERNELS_CPU_STATE_SPACE_H_

#include "kernels/device.h"
#include "kernels/thread_pool.h"

namespace quantd::cpu {

void SelectiveScan(const SelectiveScanArgs& args, ThreadPool& pool);

}  // namespace quantd::cpu

#endif  // QUANTD_KERNELS_CPU_STATE_SPACE_H_
