// The leases of running attempts: until when each worker must be heard of
// again. Times are Clock::Monotonic().
//
// Thread-compatible; the job manager guards it with its mutex.
#ifndef QUANTD_JOBS_LEASE_TABLE_H_
#define QUANTD_JOBS_LEASE_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace quantd {

class LeaseTable {
 public:
  struct Lease {
    std::string job_id;
    uint32_t attempt = 0;
  };

  // A new lease, in place of any the job had.
  void Grant(absl::string_view job_id, uint32_t attempt,
             absl::Duration deadline);
  // Moves the deadline; does nothing when the job has no lease.
  void Renew(absl::string_view job_id, absl::Duration deadline);
  // While the server itself works for the attempt (prepares its inputs,
  // publishes its result) the lease does not run; Renew() lets it run again.
  void Suspend(absl::string_view job_id);
  void Drop(absl::string_view job_id);

  // Removes the leases whose deadline is before `now` and returns them.
  std::vector<Lease> TakeExpired(absl::Duration now);

  size_t size() const { return leases_.size(); }

 private:
  struct Entry {
    uint32_t attempt;
    absl::Duration deadline;
  };
  // At most one per executor slot, so a linear scan is the simplest index.
  absl::flat_hash_map<std::string, Entry> leases_;
};

}  // namespace quantd

#endif  // QUANTD_JOBS_LEASE_TABLE_H_
