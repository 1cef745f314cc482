// Makes calls with a request_id idempotent: of all calls with one id, also
// concurrent ones, the first makes the resource and the others find it. The
// record is written in the same batch as the resource.
//
//   RequestLedger::Hold hold = ledger.Acquire("CreateJob/" + request_id);
//   ASSIGN_OR_RETURN(auto first, hold.Find(body_digest));
//   if (first) return Get(*first);          // a retry
//   hold.Record(job.name(), body_digest, now, &batch);
//   store->Commit(batch);
//
// Thread-safe.
#ifndef QUANTD_JOBS_REQUEST_LEDGER_H_
#define QUANTD_JOBS_REQUEST_LEDGER_H_

#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "storage/metadata_store.h"

namespace quantd {

class RequestLedger {
 public:
  // `store` must outlive the ledger.
  explicit RequestLedger(MetadataStore* store) : store_(store) {}

  // The right to be the one call with its key; given up when destroyed.
  class Hold {
   public:
    Hold(Hold&& other) noexcept;
    Hold& operator=(Hold&&) = delete;
    ~Hold();

    // The resource that an earlier call with this key made, if any.
    // InvalidArgument (REQUEST_ID_REUSED) when that call had another body.
    absl::StatusOr<std::optional<std::string>> Find(
        absl::string_view body_digest) const;

    // Adds to `batch` that this call makes `resource`.
    void Record(absl::string_view resource, absl::string_view body_digest,
                absl::Time now, MetadataBatch* batch) const;

   private:
    friend class RequestLedger;
    Hold(RequestLedger* ledger, std::string key)
        : ledger_(ledger), key_(std::move(key)) {}

    RequestLedger* ledger_;
    std::string key_;
  };

  // Waits while another call with `key` is in flight. An empty key stands for
  // a call without an id: it never waits and never finds anything.
  Hold Acquire(std::string key) ABSL_LOCKS_EXCLUDED(mutex_);

  // Forgets the calls that are older than kRetention.
  absl::Status Prune(absl::Time now);

  // How long a retried call finds the first one.
  static constexpr absl::Duration kRetention = absl::Hours(24 * 7);

 private:
  void Release(const std::string& key) ABSL_LOCKS_EXCLUDED(mutex_);

  MetadataStore* const store_;
  absl::Mutex mutex_;
  absl::flat_hash_set<std::string> in_flight_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quantd

#endif  // QUANTD_JOBS_REQUEST_LEDGER_H_
