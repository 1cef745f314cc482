// The threads on which calls block: synced writes, opening a checkpoint,
// hashing a blob. gRPC's own threads only enqueue here, so a slow disk never
// stops the transport. Enough threads let concurrent commits share one fsync.
//
// Thread-safe.
#ifndef QUANTD_SERVER_HANDLER_POOL_H_
#define QUANTD_SERVER_HANDLER_POOL_H_

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace quantd {

class HandlerPool {
 public:
  // Tasks beyond `max_queued` waiting ones are refused, so that an overload
  // turns into an error and not into memory.
  HandlerPool(int threads, size_t max_queued);
  // Runs what is queued, then joins.
  ~HandlerPool();
  HandlerPool(const HandlerPool&) = delete;
  HandlerPool& operator=(const HandlerPool&) = delete;

  // False, and `task` is dropped, when the queue is full.
  [[nodiscard]] bool Schedule(std::function<void()> task);

  // The same without the limit: for the next step of a call that was admitted
  // already and has at most one step queued.
  void ScheduleContinuation(std::function<void()> task);

 private:
  void Run();
  bool Ready() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !tasks_.empty();
  }

  const size_t max_queued_;
  absl::Mutex mutex_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace quantd

#endif  // QUANTD_SERVER_HANDLER_POOL_H_
