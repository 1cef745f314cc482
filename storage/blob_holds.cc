#include "storage/blob_holds.h"

#include <algorithm>

namespace quantd {

BlobHolds::Hold::~Hold() {
  if (owner_ == nullptr) return;
  absl::MutexLock lock(&owner_->mutex_);
  for (const std::string& digest : digests_) {
    const auto held = owner_->held_.find(digest);
    if (--held->second == 0) owner_->held_.erase(held);
  }
}

BlobHolds::Removal::~Removal() {
  absl::MutexLock lock(&owner_->mutex_);
  for (const std::string& digest : digests_) owner_->removing_.erase(digest);
}

BlobHolds::Hold BlobHolds::Acquire(std::vector<std::string> digests) {
  absl::MutexLock lock(&mutex_);
  const auto none_is_going = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return std::none_of(digests.begin(), digests.end(),
                        [this](const std::string& digest)
                            ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
                              return removing_.contains(digest);
                            });
  };
  mutex_.Await(absl::Condition(&none_is_going));
  for (const std::string& digest : digests) ++held_[digest];
  return Hold(this, std::move(digests));
}

BlobHolds::Removal BlobHolds::TryRemove(
    const std::vector<std::string>& digests) {
  std::vector<std::string> free;
  absl::MutexLock lock(&mutex_);
  for (const std::string& digest : digests) {
    // Not inserted: repeated in `digests`, or somebody else removes it.
    if (!held_.contains(digest) && removing_.insert(digest).second) {
      free.push_back(digest);
    }
  }
  return Removal(this, std::move(free));
}

}  // namespace quantd
