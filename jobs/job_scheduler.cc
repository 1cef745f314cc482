#include "jobs/job_scheduler.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace quantd {
namespace {

// Owners are free text from clients; the history of idle ones is forgotten
// when there are more than this.
constexpr size_t kMaxIdleOwners = 10000;

}  // namespace

void OwnerShares::WorkerStarted(absl::string_view owner) {
  if (shares_.size() >= kMaxIdleOwners) {
    absl::erase_if(shares_,
                   [](const auto& entry) { return entry.second.running == 0; });
  }
  Share& share = shares_[owner];
  ++share.running;
  share.last_start = ++starts_;
}

void OwnerShares::WorkerEnded(absl::string_view owner) {
  auto it = shares_.find(owner);
  if (it != shares_.end() && it->second.running > 0) --it->second.running;
}

int OwnerShares::running(absl::string_view owner) const {
  auto it = shares_.find(owner);
  return it == shares_.end() ? 0 : it->second.running;
}

uint64_t OwnerShares::last_start(absl::string_view owner) const {
  auto it = shares_.find(owner);
  return it == shares_.end() ? 0 : it->second.last_start;
}

void RunnableQueue::Insert(Entry entry) {
  const bool is_new =
      by_id_.try_emplace(entry.id, Place{entry.priority, entry.owner}).second;
  if (!is_new) return;
  by_priority_[entry.priority][entry.owner].emplace(std::move(entry.id),
                                                    entry.since);
}

void RunnableQueue::Erase(absl::string_view id) {
  auto it = by_id_.find(id);
  if (it == by_id_.end()) return;
  const Place& place = it->second;
  auto at_priority = by_priority_.find(place.priority);
  auto at_owner = at_priority->second.find(place.owner);
  at_owner->second.erase(std::string(id));
  if (at_owner->second.empty()) at_priority->second.erase(at_owner);
  if (at_priority->second.empty()) by_priority_.erase(at_priority);
  by_id_.erase(it);
}

bool RunnableQueue::Contains(absl::string_view id) const {
  return by_id_.contains(id);
}

std::optional<absl::Duration> RunnableQueue::OldestSince() const {
  std::optional<absl::Duration> oldest;
  for (const auto& [priority, owners] : by_priority_) {
    for (const auto& [owner, jobs] : owners) {
      const absl::Duration since = jobs.begin()->second;
      if (!oldest.has_value() || since < *oldest) oldest = since;
    }
  }
  return oldest;
}

std::optional<std::string> ChooseNext(const RunnableQueue& queue,
                                      const OwnerShares& shares) {
  if (queue.by_priority_.empty()) return std::nullopt;
  const RunnableQueue::ByOwner& owners = queue.by_priority_.begin()->second;
  const auto best = std::min_element(
      owners.begin(), owners.end(), [&](const auto& a, const auto& b) {
        const auto rank = [&](const auto& owner) {
          return std::tuple<int, uint64_t, const std::string&>(
              shares.running(owner.first), shares.last_start(owner.first),
              owner.second.begin()->first);
        };
        return rank(a) < rank(b);
      });
  return best->second.begin()->first;
}

}  // namespace quantd
