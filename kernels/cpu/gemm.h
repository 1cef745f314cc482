// Matrix products of the CPU device: a list of implementations, best first.
#ifndef QUANTD_KERNELS_CPU_GEMM_H_
#define QUANTD_KERNELS_CPU_GEMM_H_

#include "absl/types/span.h"
#include "kernels/device.h"

namespace quantd::cpu {

// Rows of c per piece. Large enough that repacking b for every piece costs
// little beside the product, small enough to feed two cores on one window of
// 512 tokens.
inline constexpr int64_t kGemmPieceRows = 256;

// One way to compute a product on the calling thread.
struct GemmImplementation {
  const char* name;
  // Whether it can run these arguments on this machine.
  bool (*can)(const GemmArgs& args);
  void (*run)(const GemmArgs& args);
};

// Best first; the last one (reference) can always.
absl::Span<const GemmImplementation> GemmImplementations();

// The first implementation that can.
const GemmImplementation& ChooseGemm(const GemmArgs& args);

// Runs the product on the pool. Rows of c are cut into pieces of
// kGemmPieceRows, and every piece runs on one thread, so the
// result does not depend on the number of threads.
void ParallelGemm(const GemmArgs& args, ThreadPool& pool);

}  // namespace quantd::cpu

#endif  // QUANTD_KERNELS_CPU_GEMM_H_
