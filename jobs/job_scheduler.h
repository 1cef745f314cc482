// Which job starts next. Priority decides; among equals the owner with the
// fewest running workers, then the owner whose turn was longest ago, then the
// oldest job.
//
// Thread-compatible; the job manager guards them with its mutex.
#ifndef QUANTD_JOBS_JOB_SCHEDULER_H_
#define QUANTD_JOBS_JOB_SCHEDULER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace quantd {

// What each owner has had of the machine.
class OwnerShares {
 public:
  void WorkerStarted(absl::string_view owner);
  void WorkerEnded(absl::string_view owner);

  int running(absl::string_view owner) const;
  // Rises with every start; 0 = never started anything.
  uint64_t last_start(absl::string_view owner) const;

 private:
  struct Share {
    int running = 0;
    uint64_t last_start = 0;
  };
  absl::flat_hash_map<std::string, Share> shares_;
  uint64_t starts_ = 0;
};

// The jobs that could start now, ordered for choosing.
class RunnableQueue {
 public:
  struct Entry {
    std::string id;
    int32_t priority = 0;
    std::string owner;
    // Clock::Monotonic() at which it could first have started.
    absl::Duration since;
  };

  // Does nothing when the id is in the queue.
  void Insert(Entry entry);
  void Erase(absl::string_view id);
  bool Contains(absl::string_view id) const;
  bool empty() const { return by_id_.empty(); }
  size_t size() const { return by_id_.size(); }

  // When the longest waiting head of an owner's queue could first have
  // started.
  std::optional<absl::Duration> OldestSince() const;

 private:
  friend std::optional<std::string> ChooseNext(const RunnableQueue& queue,
                                               const OwnerShares& shares);

  // Ids sort by creation time, so a map over ids is a queue by age.
  using ByAge = std::map<std::string, absl::Duration>;
  using ByOwner = std::map<std::string, ByAge>;
  // Highest priority first.
  std::map<int32_t, ByOwner, std::greater<int32_t>> by_priority_;
  struct Place {
    int32_t priority;
    std::string owner;
  };
  absl::flat_hash_map<std::string, Place> by_id_;
};

// The id of the job to start next; none when the queue is empty. The cost
// grows with the number of owners at the highest priority, not with the jobs.
std::optional<std::string> ChooseNext(const RunnableQueue& queue,
                                      const OwnerShares& shares);

}  // namespace quantd

#endif  // QUANTD_JOBS_JOB_SCHEDULER_H_
