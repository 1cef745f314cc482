// Who wants to know when a job has something new.
//
// Thread-safe.
#ifndef QUANTD_JOBS_JOB_WATCHERS_H_
#define QUANTD_JOBS_JOB_WATCHERS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace quantd {

class JobWatchers {
 public:
  // `on_change` may be called from several threads at once. It must not call
  // Unsubscribe() for its own id.
  uint64_t Subscribe(absl::string_view job_id, std::function<void()> on_change)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits for calls of `on_change` that are under way. Unknown ids are fine.
  void Unsubscribe(uint64_t id) ABSL_LOCKS_EXCLUDED(mutex_);

  // Calls the job's subscribers on this thread.
  void Notify(absl::string_view job_id) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Subscription {
    std::string job_id;
    std::function<void()> on_change;
    // Calls under way.
    int calls = 0;
    bool active = true;
  };
  using SubscriptionPtr = std::shared_ptr<Subscription>;

  absl::Mutex mutex_;
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<uint64_t, SubscriptionPtr> by_id_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::vector<SubscriptionPtr>> by_job_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace quantd

#endif  // QUANTD_JOBS_JOB_WATCHERS_H_
