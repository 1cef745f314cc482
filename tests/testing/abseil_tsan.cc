// Tells ThreadSanitizer what absl::Mutex, CondVar and Notification order.
//
// The sanitizer learns of synchronisation from instrumented atomics and from
// pthread calls. Debian's Abseil shows it neither: it is built without the
// sanitizer and locks with its own atomics and futexes, so whatever an
// absl::Mutex guards would be reported as a race. Suppressing those reports
// would suppress the real races among them. Instead, the functions below take
// the place of the library's (an executable's symbols come first), call the
// library's, and tell the sanitizer that what came before an unlock comes
// before the next lock. gRPC's calls come by here too.
//
// Linked into every executable of the tsan preset and into no other.
//
// Readers are ordered among each other as if they had locked exclusively,
// which could hide a race between two of them; quantd takes no reader locks.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>

#include "absl/base/config.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

extern "C" {
// Exported by the sanitizer's runtime, declared by none of its headers.
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}

namespace {

// The library's function behind one of ours, by its mangled name. A member
// function is called here as what it is to the linker: a function whose first
// argument is the object.
template <typename Result, typename... Args>
class Next {
 public:
  explicit Next(const char* symbol)
      : function_(
            reinterpret_cast<Result (*)(Args...)>(::dlsym(RTLD_NEXT, symbol))) {
    if (function_ != nullptr) return;
    std::fprintf(stderr, "abseil_tsan: this Abseil has no %s\n", symbol);
    std::abort();
  }
  Result operator()(Args... args) const { return function_(args...); }

 private:
  Result (*const function_)(Args...);
};

}  // namespace

// Debian 12's Abseil has the inline namespace debian3.
#define QUANTD_MUTEX "_ZN4absl7debian35Mutex"
#define QUANTD_CONDITION "_ZNK4absl7debian39Condition"
#define QUANTD_CONDVAR "_ZN4absl7debian37CondVar"
#define QUANTD_NOTIFICATION "_ZN4absl7debian312Notification"
#define QUANTD_CONST_NOTIFICATION "_ZNK4absl7debian312Notification"

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  static const Next<void, Mutex*> next(QUANTD_MUTEX "4LockEv");
  next(this);
  __tsan_acquire(this);
}

void Mutex::Unlock() {
  static const Next<void, Mutex*> next(QUANTD_MUTEX "6UnlockEv");
  __tsan_release(this);
  next(this);
}

bool Mutex::TryLock() {
  static const Next<bool, Mutex*> next(QUANTD_MUTEX "7TryLockEv");
  const bool locked = next(this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::ReaderLock() {
  static const Next<void, Mutex*> next(QUANTD_MUTEX "10ReaderLockEv");
  next(this);
  __tsan_acquire(this);
}

void Mutex::ReaderUnlock() {
  static const Next<void, Mutex*> next(QUANTD_MUTEX "12ReaderUnlockEv");
  __tsan_release(this);
  next(this);
}

bool Mutex::ReaderTryLock() {
  static const Next<bool, Mutex*> next(QUANTD_MUTEX "13ReaderTryLockEv");
  const bool locked = next(this);
  if (locked) __tsan_acquire(this);
  return locked;
}

// Waiting gives the mutex up and takes it again.
void Mutex::Await(const Condition& cond) {
  static const Next<void, Mutex*, const Condition&> next(
      QUANTD_MUTEX "5AwaitERKNS0_9ConditionE");
  __tsan_release(this);
  next(this, cond);
  __tsan_acquire(this);
}

bool Mutex::AwaitWithTimeout(const Condition& cond, absl::Duration timeout) {
  static const Next<bool, Mutex*, const Condition&, absl::Duration> next(
      QUANTD_MUTEX "16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  __tsan_release(this);
  const bool held = next(this, cond, timeout);
  __tsan_acquire(this);
  return held;
}

bool Mutex::AwaitWithDeadline(const Condition& cond, absl::Time deadline) {
  static const Next<bool, Mutex*, const Condition&, absl::Time> next(
      QUANTD_MUTEX "17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  __tsan_release(this);
  const bool held = next(this, cond, deadline);
  __tsan_acquire(this);
  return held;
}

void Mutex::LockWhen(const Condition& cond) {
  static const Next<void, Mutex*, const Condition&> next(
      QUANTD_MUTEX "8LockWhenERKNS0_9ConditionE");
  next(this, cond);
  __tsan_acquire(this);
}

bool Mutex::LockWhenWithTimeout(const Condition& cond, absl::Duration timeout) {
  static const Next<bool, Mutex*, const Condition&, absl::Duration> next(
      QUANTD_MUTEX "19LockWhenWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  const bool held = next(this, cond, timeout);
  __tsan_acquire(this);
  return held;
}

bool Mutex::LockWhenWithDeadline(const Condition& cond, absl::Time deadline) {
  static const Next<bool, Mutex*, const Condition&, absl::Time> next(
      QUANTD_MUTEX "20LockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  const bool held = next(this, cond, deadline);
  __tsan_acquire(this);
  return held;
}

// A thread that unlocks evaluates the conditions of those that wait, still
// under the lock but after Unlock() above has told of the release.
bool Condition::Eval() const {
  static const Next<bool, const Condition*> next(QUANTD_CONDITION "4EvalEv");
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  const bool value = next(this);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  return value;
}

// CondVar gives the mutex up without calling Mutex::Unlock().
void CondVar::Wait(Mutex* mu) {
  static const Next<void, CondVar*, Mutex*> next(QUANTD_CONDVAR
                                                 "4WaitEPNS0_5MutexE");
  __tsan_release(mu);
  next(this, mu);
  __tsan_acquire(mu);
}

bool CondVar::WaitWithTimeout(Mutex* mu, absl::Duration timeout) {
  static const Next<bool, CondVar*, Mutex*, absl::Duration> next(
      QUANTD_CONDVAR "15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  __tsan_release(mu);
  const bool timed_out = next(this, mu, timeout);
  __tsan_acquire(mu);
  return timed_out;
}

bool CondVar::WaitWithDeadline(Mutex* mu, absl::Time deadline) {
  static const Next<bool, CondVar*, Mutex*, absl::Time> next(
      QUANTD_CONDVAR "16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  __tsan_release(mu);
  const bool timed_out = next(this, mu, deadline);
  __tsan_acquire(mu);
  return timed_out;
}

// The flag is what HasBeenNotified(), which is inline, reads.
void Notification::Notify() {
  static const Next<void, Notification*> next(QUANTD_NOTIFICATION "6NotifyEv");
  __tsan_release(&notified_yet_);
  next(this);
}

void Notification::WaitForNotification() const {
  static const Next<void, const Notification*> next(QUANTD_CONST_NOTIFICATION
                                                    "19WaitForNotificationEv");
  next(this);
  static_cast<void>(HasBeenNotified());
}

bool Notification::WaitForNotificationWithTimeout(
    absl::Duration timeout) const {
  static const Next<bool, const Notification*, absl::Duration> next(
      QUANTD_CONST_NOTIFICATION
      "30WaitForNotificationWithTimeoutENS0_8DurationE");
  const bool notified = next(this, timeout);
  static_cast<void>(HasBeenNotified());
  return notified;
}

bool Notification::WaitForNotificationWithDeadline(absl::Time deadline) const {
  static const Next<bool, const Notification*, absl::Time> next(
      QUANTD_CONST_NOTIFICATION "31WaitForNotificationWithDeadlineENS0_4TimeE");
  const bool notified = next(this, deadline);
  static_cast<void>(HasBeenNotified());
  return notified;
}

ABSL_NAMESPACE_END
}  // namespace absl
