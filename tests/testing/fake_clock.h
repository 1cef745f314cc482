// A clock that moves when the test says so.
//
// Thread-safe.
#ifndef QUANTD_TESTS_TESTING_FAKE_CLOCK_H_
#define QUANTD_TESTS_TESTING_FAKE_CLOCK_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "jobs/clock.h"

namespace quantd::test {

class FakeClock : public Clock {
 public:
  absl::Time Now() const override ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return now_;
  }
  absl::Duration Monotonic() const override ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return monotonic_;
  }

  void Advance(absl::Duration by) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    now_ += by;
    monotonic_ += by;
  }
  // The wall clock is set; no time passes.
  void SetWallClock(absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    now_ = now;
  }

 private:
  mutable absl::Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_) =
      absl::FromUnixSeconds(1'700'000'000);
  absl::Duration monotonic_ ABSL_GUARDED_BY(mutex_) = absl::Seconds(1000);
};

}  // namespace quantd::test

#endif  // QUANTD_TESTS_TESTING_FAKE_CLOCK_H_
