#include "jobs/job_watchers.h"

#include <algorithm>
#include <utility>

namespace quantd {

uint64_t JobWatchers::Subscribe(absl::string_view job_id,
                                std::function<void()> on_change) {
  auto subscription = std::make_shared<Subscription>();
  subscription->job_id = std::string(job_id);
  subscription->on_change = std::move(on_change);
  absl::MutexLock lock(&mutex_);
  by_job_[subscription->job_id].push_back(subscription);
  by_id_[++last_id_] = std::move(subscription);
  return last_id_;
}

void JobWatchers::Unsubscribe(uint64_t id) {
  absl::MutexLock lock(&mutex_);
  auto it = by_id_.find(id);
  if (it == by_id_.end()) return;
  const SubscriptionPtr subscription = it->second;
  by_id_.erase(it);
  auto of_job = by_job_.find(subscription->job_id);
  std::vector<SubscriptionPtr>& list = of_job->second;
  list.erase(std::find(list.begin(), list.end(), subscription));
  if (list.empty()) by_job_.erase(of_job);
  subscription->active = false;
  const auto is_idle = [&] { return subscription->calls == 0; };
  mutex_.Await(absl::Condition(&is_idle));
}

void JobWatchers::Notify(absl::string_view job_id) {
  std::vector<SubscriptionPtr> subscriptions;
  {
    absl::MutexLock lock(&mutex_);
    auto it = by_job_.find(job_id);
    if (it == by_job_.end()) return;
    subscriptions = it->second;
  }
  for (const SubscriptionPtr& subscription : subscriptions) {
    {
      absl::MutexLock lock(&mutex_);
      if (!subscription->active) continue;
      ++subscription->calls;
    }
    subscription->on_change();
    absl::MutexLock lock(&mutex_);
    --subscription->calls;
  }
}

}  // namespace quantd
