#include "jobs/lease_table.h"

namespace quantd {

void LeaseTable::Grant(absl::string_view job_id, uint32_t attempt,
                       absl::Duration deadline) {
  leases_[job_id] = Entry{attempt, deadline};
}

void LeaseTable::Renew(absl::string_view job_id, absl::Duration deadline) {
  auto it = leases_.find(job_id);
  if (it != leases_.end()) it->second.deadline = deadline;
}

void LeaseTable::Suspend(absl::string_view job_id) {
  Renew(job_id, absl::InfiniteDuration());
}

void LeaseTable::Drop(absl::string_view job_id) {
  auto it = leases_.find(job_id);
  if (it != leases_.end()) leases_.erase(it);
}

std::vector<LeaseTable::Lease> LeaseTable::TakeExpired(absl::Duration now) {
  std::vector<Lease> expired;
  for (const auto& [id, entry] : leases_) {
    if (entry.deadline < now) expired.push_back({id, entry.attempt});
  }
  for (const Lease& lease : expired) leases_.erase(lease.job_id);
  return expired;
}

}  // namespace quantd
