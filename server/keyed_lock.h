// Serialises work on one key (the id of a model that is being registered)
// without a mutex being held while the work reads files and waits for fsync.
//
//   KeyedLock::Hold hold = registrations.Acquire(id);
//
// Thread-safe.
#ifndef QUANTD_SERVER_KEYED_LOCK_H_
#define QUANTD_SERVER_KEYED_LOCK_H_

#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace quantd {

class KeyedLock {
 public:
  // Releases its key when destroyed.
  class Hold {
   public:
    Hold(KeyedLock* owner, std::string key)
        : owner_(owner), key_(std::move(key)) {}
    ~Hold() {
      absl::MutexLock lock(&owner_->mutex_);
      owner_->held_.erase(key_);
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    KeyedLock* const owner_;
    const std::string key_;
  };

  // Waits until nobody holds `key`.
  Hold Acquire(absl::string_view key) {
    std::string wanted(key);
    const auto is_free = [this, &wanted]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return !held_.contains(wanted);
    };
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&is_free));
    held_.insert(wanted);
    return Hold(this, std::move(wanted));
  }

 private:
  absl::Mutex mutex_;
  absl::flat_hash_set<std::string> held_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quantd

#endif  // QUANTD_SERVER_KEYED_LOCK_H_
