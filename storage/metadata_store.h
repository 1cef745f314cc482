// Durable records in RocksDB: one column family per table, values are proto
// messages, every commit is one synced, atomic write.
//
//   MetadataBatch batch;
//   batch.Put(Table::kJobs, id, job);
//   batch.Put(Table::kEvents, EventKey(sequence), event);
//   RETURN_IF_ERROR(store->Commit(batch));      // durable when it returns OK
//
// When Commit() fails the outcome is unknown (a failed fsync may still have
// reached the disk): the store turns read-only, answers Unavailable to every
// further commit, and has to be reopened. Callers must never report a failed
// commit as "not done".
//
// Thread-safe.
#ifndef QUANTD_STORAGE_METADATA_STORE_H_
#define QUANTD_STORAGE_METADATA_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message_lite.h"

namespace quantd {

// Tables are column families; their names are persisted (see the .cc).
enum class Table {
  kJobs,         // job id -> Job
  kEvents,       // EventKey(sequence) -> JobEvent
  kJobEvents,    // job id + "/" + EventKey(sequence) -> empty
  kModels,       // model id -> Model
  kDatasets,     // dataset id -> Dataset
  kArtifacts,    // artifact id -> Artifact
  kEvaluations,  // evaluation id -> Evaluation
  kRequests,     // request key -> RequestRecord of jobs/
  kMeta,         // schema version, store uuid, last event sequence
};

// An ordered list of changes, applied all or none.
class MetadataBatch {
 public:
  void Put(Table table, absl::string_view key,
           const google::protobuf::MessageLite& value);
  void PutBytes(Table table, absl::string_view key, absl::string_view value);
  void Delete(Table table, absl::string_view key);
  bool empty() const { return changes_.empty(); }

 private:
  friend class MetadataStore;
  struct Change {
    Table table;
    std::string key;
    bool is_delete;
    std::string value;
  };
  std::vector<Change> changes_;
};

class MetadataStore {
 public:
  struct Options {
    // Created if absent.
    std::string directory;
    // Receives RocksDB's own log lines (level: 0 debug .. 4 fatal). Debian's
    // RocksDB aborts when its file logger meets a full disk, so the library
    // never gets one.
    std::function<void(int level, absl::string_view line)> log;
    // Called once when the store turns read-only.
    std::function<void(const absl::Status&)> on_degraded;
  };

  // FailedPrecondition: the directory is locked by another process, or was
  // written by a newer schema. DataLoss: the log or a table is corrupt, or the
  // store is behind its high-water mark (records that were acknowledged are
  // gone). PermissionDenied / ResourceExhausted: not writable, disk full.
  static absl::StatusOr<std::unique_ptr<MetadataStore>> Open(Options options);
  ~MetadataStore();
  MetadataStore(const MetadataStore&) = delete;
  MetadataStore& operator=(const MetadataStore&) = delete;

  // Durable when it returns OK.
  absl::Status Commit(const MetadataBatch& batch);

  // NotFound when there is no such key; DataLoss when the value does not
  // parse.
  absl::Status Get(Table table, absl::string_view key,
                   google::protobuf::MessageLite* value) const;
  absl::StatusOr<std::string> GetBytes(Table table,
                                       absl::string_view key) const;

  // Visits keys > `after` (from the first key when empty) that start with
  // `prefix`, ascending, from one consistent snapshot, until `visit` returns
  // false.
  absl::Status Scan(
      Table table, absl::string_view prefix, absl::string_view after,
      absl::FunctionRef<bool(absl::string_view key, absl::string_view value)>
          visit) const;
  // The same downwards: keys < `before` (from the last key when empty).
  absl::Status ScanDown(
      Table table, absl::string_view before,
      absl::FunctionRef<bool(absl::string_view key, absl::string_view value)>
          visit) const;

  // A number that rises by one per call and is never reused, also across
  // restarts, provided that the event it numbers is committed with it or not
  // at all. For event sequences.
  uint64_t NextSequence();
  // The highest sequence handed out.
  uint64_t last_sequence() const;

  // Random identity of this store, made when it was created.
  const std::string& uuid() const;

  // OK, or why commits are refused.
  absl::Status health() const;

  // Seconds that Commit() took, for metrics. Set once before concurrent use.
  void set_commit_observer(std::function<void(double seconds)> observer);

  // Approximate bytes on disk.
  uint64_t size_bytes() const;

 private:
  class Impl;
  explicit MetadataStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// 16 hexadecimal digits, so that keys sort by number.
std::string EventKey(uint64_t sequence);

}  // namespace quantd

#endif  // QUANTD_STORAGE_METADATA_STORE_H_
