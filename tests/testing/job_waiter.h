// Waits for what a job does, without sleeping.
#ifndef QUANTD_TESTS_TESTING_JOB_WAITER_H_
#define QUANTD_TESTS_TESTING_JOB_WAITER_H_

#include <functional>
#include <string>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "jobs/job_manager.h"

namespace quantd::test {

// The job as soon as `is_so` holds for it, or as it is after `timeout` (then
// the test has failed).
inline v1::Job WaitForJob(JobManager& manager, const std::string& name,
                          const std::function<bool(const v1::Job&)>& is_so,
                          absl::Duration timeout = absl::Seconds(20)) {
  absl::Mutex mutex;
  bool changed = true;
  const JobManager::SubscriptionId id = manager.Subscribe(name, [&] {
    absl::MutexLock lock(&mutex);
    changed = true;
  });
  const absl::Time deadline = absl::Now() + timeout;
  v1::Job job;
  bool done = false;
  while (!done) {
    {
      absl::MutexLock lock(&mutex);
      if (!mutex.AwaitWithDeadline(absl::Condition(&changed), deadline)) break;
      changed = false;
    }
    absl::StatusOr<v1::Job> now = manager.Get(name);
    if (!now.ok()) {
      ADD_FAILURE() << now.status();
      break;
    }
    job = *std::move(now);
    done = is_so(job);
  }
  manager.Unsubscribe(id);
  if (!done) ADD_FAILURE() << "waited in vain: " << job.ShortDebugString();
  return job;
}

inline v1::Job WaitForJobState(JobManager& manager, const std::string& name,
                               v1::JobState state) {
  return WaitForJob(manager, name, [state](const v1::Job& job) {
    return job.state() == state;
  });
}

}  // namespace quantd::test

#endif  // QUANTD_TESTS_TESTING_JOB_WAITER_H_
