// How much memory this process uses and has used at most.
//
// Thread-safe.
#ifndef QUANTD_JOBS_MEMORY_PROBE_H_
#define QUANTD_JOBS_MEMORY_PROBE_H_

#include <atomic>
#include <cstdint>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace quantd {

struct MemoryReading {
  // Resident now, and at most so far (kept by the kernel): with the pages of
  // mapped files, which the kernel may take back when it needs them.
  uint64_t resident_bytes = 0;
  uint64_t peak_resident_bytes = 0;
  // Memory that only this process holds, now.
  uint64_t anonymous_bytes = 0;
};

// From /proc/self/status; zeros where there is none.
MemoryReading ReadMemory();

// The memory this process can have: that of the machine or of the control
// groups it is in, whichever is least. 0 when neither can be read.
uint64_t MemoryLimitBytes();

// Samples the anonymous memory while it lives. The kernel keeps no peak of
// it, so spikes shorter than kInterval can be missed.
class MemoryProbe {
 public:
  MemoryProbe();
  ~MemoryProbe();
  MemoryProbe(const MemoryProbe&) = delete;
  MemoryProbe& operator=(const MemoryProbe&) = delete;

  uint64_t peak_anonymous_bytes() const { return peak_anonymous_bytes_; }

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);

  std::atomic<uint64_t> peak_anonymous_bytes_{0};
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace quantd

#endif  // QUANTD_JOBS_MEMORY_PROBE_H_
