// Keeps a blob from being deleted while somebody is about to refer to it.
//
// A publisher makes the blob first and commits the record that refers to it
// afterwards; in between, the blob looks like one that nothing needs. So:
//
//   const BlobHolds::Hold hold = holds.Acquire({digest});  // publisher
//   ... make the blob, commit the record ...
//
//   const BlobHolds::Removal removal = holds.TryRemove(digests);  // remover
//   ... delete those of removal.digests() that no record refers to ...
//
// Nobody acquires a digest that is being removed, nobody removes one that is
// held. A remover never waits, so there is nothing to deadlock with.
//
// Thread-safe.
#ifndef QUANTD_STORAGE_BLOB_HOLDS_H_
#define QUANTD_STORAGE_BLOB_HOLDS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"

namespace quantd {

class BlobHolds {
 public:
  // Both give back what they have when destroyed. `holds` must outlive them.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept { *this = std::move(other); }
    Hold& operator=(Hold&& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(digests_, other.digests_);
      return *this;
    }
    ~Hold();

   private:
    friend class BlobHolds;
    Hold(BlobHolds* owner, std::vector<std::string> digests)
        : owner_(owner), digests_(std::move(digests)) {}

    BlobHolds* owner_ = nullptr;
    std::vector<std::string> digests_;
  };

  class Removal {
   public:
    Removal(const Removal&) = delete;
    Removal& operator=(const Removal&) = delete;
    ~Removal();

    // Those nobody held.
    const std::vector<std::string>& digests() const { return digests_; }

   private:
    friend class BlobHolds;
    Removal(BlobHolds* owner, std::vector<std::string> digests)
        : owner_(owner), digests_(std::move(digests)) {}

    BlobHolds* const owner_;
    const std::vector<std::string> digests_;
  };

  // Waits until none of the digests is being removed. Any number of holds may
  // share a digest.
  Hold Acquire(std::vector<std::string> digests) ABSL_LOCKS_EXCLUDED(mutex_);

  Removal TryRemove(const std::vector<std::string>& digests)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, int> held_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> removing_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quantd

#endif  // QUANTD_STORAGE_BLOB_HOLDS_H_
