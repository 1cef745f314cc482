// Matrix products in float64, for factorisations that float32 is too coarse
// for. Runs on the CPU whatever the device, on the calling thread; callers cut
// the work. Written with Highway for every instruction set of the
// architecture: a library compiled for the oldest one would leave most of a
// processor's width unused.
//
// Thread-safe. Results depend on the arguments and the instruction set only.
#ifndef QUANTD_KERNELS_GEMM_F64_H_
#define QUANTD_KERNELS_GEMM_F64_H_

#include <cstdint>
#include <vector>

#include "kernels/device.h"
#include "kernels/thread_pool.h"

namespace quantd {

// The right operand b [k, n] of many products, laid out for them: panels of
// neighbouring columns, each with its rows one after the other.
class PackedF64 {
 public:
  // From b [k, n] with leading dimension `ldb`, or stored transposed as [n, k].
  // Uses the pool's threads. Memory is kept from one call to the next.
  void Pack(const double* b, int64_t ldb, Transpose transpose, int64_t k,
            int64_t n, ThreadPool& pool);

  int64_t k() const { return k_; }
  int64_t n() const { return n_; }

 private:
  friend void MultiplyAddF64(double, const double*, int64_t, int64_t, int64_t,
                             const PackedF64&, int64_t, double*, int64_t);

  int64_t k_ = 0;
  int64_t n_ = 0;
  int64_t width_ = 0;  // columns of a panel
  std::vector<double> values_;
};

// c [m, n] += alpha a [m, k] b[0 .. k, 0 .. n], the upper left part of what was
// packed. REQUIRES: k <= b.k(), n <= b.n().
void MultiplyAddF64(double alpha, const double* a, int64_t lda, int64_t m,
                    int64_t k, const PackedF64& b, int64_t n, double* c,
                    int64_t ldc);

}  // namespace quantd

#endif  // QUANTD_KERNELS_GEMM_F64_H_
