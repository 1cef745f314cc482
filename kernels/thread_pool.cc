#include "kernels/thread_pool.h"

#include <algorithm>

namespace quantd {

ThreadPool::ThreadPool(int threads) {
  if (threads <= 0) {
    threads =
        std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }
  for (int i = 1; i < threads; ++i) {
    workers_.emplace_back([this] { WorkerLoop(); });
  }
}

ThreadPool::~ThreadPool() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::RunIndices(absl::FunctionRef<void(int64_t)> body,
                            int64_t count) {
  while (true) {
    const int64_t index = next_.fetch_add(1, std::memory_order_relaxed);
    if (index >= count) return;
    body(index);
  }
}

void ThreadPool::WorkerLoop() {
  uint64_t seen = 0;
  while (true) {
    const absl::FunctionRef<void(int64_t)>* body;
    int64_t count;
    {
      absl::MutexLock lock(&mutex_);
      auto ready = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || generation_ != seen;
      };
      mutex_.Await(absl::Condition(&ready));
      if (stopping_) return;
      seen = generation_;
      body = body_;
      count = count_;
    }
    RunIndices(*body, count);
    absl::MutexLock lock(&mutex_);
    --busy_;
  }
}

void ThreadPool::ParallelFor(int64_t count,
                             absl::FunctionRef<void(int64_t)> body) {
  if (count <= 0) return;
  if (workers_.empty() || count == 1) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  {
    absl::MutexLock lock(&mutex_);
    next_.store(0, std::memory_order_relaxed);
    body_ = &body;
    count_ = count;
    busy_ = static_cast<int>(workers_.size());
    ++generation_;
  }
  RunIndices(body, count);
  absl::MutexLock lock(&mutex_);
  auto idle = [&]()
                  ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return busy_ == 0; };
  mutex_.Await(absl::Condition(&idle));
}

}  // namespace quantd
