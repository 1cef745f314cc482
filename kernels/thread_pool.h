// A fixed set of threads for data-parallel loops.
//
//   pool.ParallelFor(chunks, [&](int64_t chunk) { ... });
//
// Results of quantd must not depend on the number of threads: the caller
// partitions the work by the problem alone (never by threads()), each index
// writes its own output, and reductions are finished by the caller in index
// order.
//
// Thread-compatible: one ParallelFor() at a time; not re-entrant.
#ifndef QUANTD_KERNELS_THREAD_POOL_H_
#define QUANTD_KERNELS_THREAD_POOL_H_

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"

namespace quantd {

class ThreadPool {
 public:
  // `threads` >= 1 includes the calling thread; 0 = all cores.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(0) ... body(count - 1), each once, in no particular order, and
  // returns when all have returned.
  void ParallelFor(int64_t count, absl::FunctionRef<void(int64_t)> body);

 private:
  void WorkerLoop();
  void RunIndices(absl::FunctionRef<void(int64_t)> body, int64_t count);

  absl::Mutex mutex_;
  // Counts loops; a worker joins each loop once.
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  const absl::FunctionRef<void(int64_t)>* body_ ABSL_GUARDED_BY(mutex_) =
      nullptr;
  int64_t count_ ABSL_GUARDED_BY(mutex_) = 0;
  int busy_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::atomic<int64_t> next_{0};
  std::vector<std::thread> workers_;
};

}  // namespace quantd

#endif  // QUANTD_KERNELS_THREAD_POOL_H_
