#include "jobs/request_ledger.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "jobs/job_change.h"
#include "quantd/v1/record.pb.h"

namespace quantd {

RequestLedger::Hold::Hold(Hold&& other) noexcept
    : ledger_(std::exchange(other.ledger_, nullptr)),
      key_(std::move(other.key_)) {}

RequestLedger::Hold::~Hold() {
  if (ledger_ != nullptr && !key_.empty()) ledger_->Release(key_);
}

absl::StatusOr<std::optional<std::string>> RequestLedger::Hold::Find(
    absl::string_view body_digest) const {
  if (key_.empty()) return std::nullopt;
  v1::RequestRecord record;
  const absl::Status status =
      ledger_->store_->Get(Table::kRequests, key_, &record);
  if (absl::IsNotFound(status)) return std::nullopt;
  RETURN_IF_ERROR(status);
  if (record.body_digest() != std::string(body_digest)) {
    return absl::InvalidArgumentError(
        absl::StrCat("REQUEST_ID_REUSED: the request_id was used for ",
                     record.resource(), " with another body"));
  }
  return record.resource();
}

void RequestLedger::Hold::Record(absl::string_view resource,
                                 absl::string_view body_digest, absl::Time now,
                                 MetadataBatch* batch) const {
  if (key_.empty()) return;
  v1::RequestRecord record;
  record.set_resource(std::string(resource));
  record.set_body_digest(std::string(body_digest));
  *record.mutable_create_time() = ToTimestamp(now);
  batch->Put(Table::kRequests, key_, record);
}

RequestLedger::Hold RequestLedger::Acquire(std::string key) {
  if (key.empty()) return Hold(this, std::move(key));
  absl::MutexLock lock(&mutex_);
  const auto is_free = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return !in_flight_.contains(key);
  };
  mutex_.Await(absl::Condition(&is_free));
  in_flight_.insert(key);
  return Hold(this, std::move(key));
}

void RequestLedger::Release(const std::string& key) {
  absl::MutexLock lock(&mutex_);
  in_flight_.erase(key);
}

absl::Status RequestLedger::Prune(absl::Time now) {
  // Bounded batches, so that a large backlog does not hold up other commits.
  constexpr size_t kBatch = 1000;
  std::string after;
  for (;;) {
    MetadataBatch batch;
    size_t expired = 0;
    bool more = false;
    RETURN_IF_ERROR(store_->Scan(
        Table::kRequests, "", after,
        [&](absl::string_view key, absl::string_view value) {
          after = std::string(key);
          v1::RequestRecord record;
          if (record.ParseFromArray(value.data(),
                                    static_cast<int>(value.size())) &&
              FromTimestamp(record.create_time()) < now - kRetention) {
            batch.Delete(Table::kRequests, key);
            ++expired;
          }
          more = expired == kBatch;
          return !more;
        }));
    if (!batch.empty()) RETURN_IF_ERROR(store_->Commit(batch));
    if (!more) return absl::OkStatus();
  }
}

}  // namespace quantd
