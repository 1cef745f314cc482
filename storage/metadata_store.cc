#include "storage/metadata_store.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "rocksdb/write_batch.h"
#include "storage/directory_lock.h"
#include "storage/high_water_mark.h"
#include "storage/rocksdb_status.h"
#include "storage/table_database.h"

namespace quantd {
namespace {

// Raised when records change so that an older quantd would misread them.
constexpr uint64_t kSchemaVersion = 1;

constexpr char kSchemaKey[] = "schema_version";
constexpr char kUuidKey[] = "store_uuid";
// EventKey() of the highest committed event, so that the number is not handed
// out again after the event was deleted.
constexpr char kLastSequenceKey[] = "last_event_sequence";

constexpr int kLogError = 3;

rocksdb::Slice ToSlice(absl::string_view text) {
  return rocksdb::Slice(text.data(), text.size());
}
absl::string_view ToView(const rocksdb::Slice& slice) {
  return absl::string_view(slice.data(), slice.size());
}

absl::StatusOr<std::string> NewUuid() {
  std::array<unsigned char, 16> bytes;
  if (::getrandom(bytes.data(), bytes.size(), 0) !=
      static_cast<ssize_t>(bytes.size())) {
    return ErrnoToStatus(errno, "getrandom", "store uuid");
  }
  bytes[6] = (bytes[6] & 0x0f) | 0x40;  // RFC 4122 version 4
  bytes[8] = (bytes[8] & 0x3f) | 0x80;  // RFC 4122 variant
  const std::string hex = absl::BytesToHexString(absl::string_view(
      reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  return absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-",
                      hex.substr(12, 4), "-", hex.substr(16, 4), "-",
                      hex.substr(20));
}

}  // namespace

std::string EventKey(uint64_t sequence) {
  return absl::StrFormat("%016x", sequence);
}

void MetadataBatch::Put(Table table, absl::string_view key,
                        const google::protobuf::MessageLite& value) {
  changes_.push_back(
      {table, std::string(key), false, value.SerializeAsString()});
}

void MetadataBatch::PutBytes(Table table, absl::string_view key,
                             absl::string_view value) {
  changes_.push_back({table, std::string(key), false, std::string(value)});
}

void MetadataBatch::Delete(Table table, absl::string_view key) {
  changes_.push_back({table, std::string(key), true, ""});
}

class MetadataStore::Impl {
 public:
  explicit Impl(Options options) : options_(std::move(options)) {}
  ~Impl() {
    mark_keeper_.reset();  // writes the last mark
    database_.reset();     // its threads may still call Degrade()
  }

  absl::Status Open();
  absl::Status Commit(const MetadataBatch& batch);
  absl::StatusOr<std::string> GetBytes(Table table,
                                       absl::string_view key) const;
  std::unique_ptr<rocksdb::Iterator> NewIterator(Table table) const;
  absl::Status IteratorStatus(Table table,
                              const rocksdb::Iterator& iterator) const;

  uint64_t NextSequence() { return sequence_.fetch_add(1) + 1; }
  uint64_t last_sequence() const { return sequence_.load(); }
  const std::string& uuid() const { return uuid_; }
  absl::Status health() const;
  uint64_t size_bytes() const;
  void set_commit_observer(std::function<void(double)> observer) {
    commit_observer_ = std::move(observer);
  }

 private:
  std::string DatabaseDirectory() const {
    return absl::StrCat(options_.directory, "/rocksdb");
  }
  std::string MarkPath() const {
    return absl::StrCat(options_.directory, "/HIGH_WATER_MARK");
  }
  absl::Status CheckSchema(const std::optional<HighWaterMark>& mark);
  absl::Status Initialise();
  absl::Status LoadState(const std::optional<HighWaterMark>& mark);
  // RocksDB counts every record written; durable ones only, since every
  // write is synced.
  uint64_t LatestWrite() const {
    return database_->db().GetLatestSequenceNumber();
  }
  void Log(int level, absl::string_view line) const {
    if (options_.log) options_.log(level, line);
  }
  // Turns read-only for good; only the first call counts.
  void Degrade(const absl::Status& why);

  // Set by Open(), constant afterwards.
  const Options options_;
  std::unique_ptr<DirectoryLock> directory_lock_;
  std::unique_ptr<TableDatabase> database_;
  std::string uuid_;
  std::unique_ptr<HighWaterMarkKeeper> mark_keeper_;
  std::function<void(double)> commit_observer_;

  // Self-synchronised.
  std::atomic<uint64_t> sequence_{0};
  std::atomic<bool> degraded_{false};

  mutable absl::Mutex mutex_;
  absl::Status health_ ABSL_GUARDED_BY(mutex_);
};

absl::Status MetadataStore::Impl::Open() {
  RETURN_IF_ERROR(CreateDirectories(options_.directory));
  ASSIGN_OR_RETURN(directory_lock_, DirectoryLock::Acquire(options_.directory));
  ASSIGN_OR_RETURN(const std::optional<HighWaterMark> mark,
                   ReadHighWaterMark(MarkPath()));
  if (mark.has_value() && !TableDatabase::Exists(DatabaseDirectory())) {
    // RocksDB would make a new, empty database over the remains.
    return CheckHighWaterMark(mark, HighWaterMark{}, MarkPath());
  }
  RETURN_IF_ERROR(CreateDirectories(DatabaseDirectory()));
  ASSIGN_OR_RETURN(
      database_,
      TableDatabase::Open(DatabaseDirectory(), options_.log,
                          [this](const absl::Status& why) { Degrade(why); }));
  RETURN_IF_ERROR(CheckSchema(mark));
  RETURN_IF_ERROR(database_->CreateMissingTables());
  RETURN_IF_ERROR(LoadState(mark));
  mark_keeper_ = std::make_unique<HighWaterMarkKeeper>(
      MarkPath(), HighWaterMark{uuid_, LatestWrite()},
      [this](const absl::Status& status) {
        Log(kLogError, absl::StrCat("high-water mark: ", status.ToString()));
      });
  return health();
}

absl::Status MetadataStore::Impl::CheckSchema(
    const std::optional<HighWaterMark>& mark) {
  absl::StatusOr<std::string> version = absl::NotFoundError("");
  if (database_->handle(Table::kMeta) != nullptr) {
    version = GetBytes(Table::kMeta, kSchemaKey);
  }
  if (absl::IsNotFound(version.status())) {
    // Brand new, or made by a process that died before its first write.
    if (LatestWrite() == 0) {
      return CheckHighWaterMark(mark, HighWaterMark{}, MarkPath());
    }
    return absl::DataLossError(
        absl::StrCat(DatabaseDirectory(), ": has no schema version"));
  }
  RETURN_IF_ERROR(version.status());
  uint64_t number = 0;
  if (!absl::SimpleAtoi(*version, &number) || number == 0) {
    return absl::DataLossError(
        absl::StrCat(DatabaseDirectory(), ": schema version \"",
                     absl::CHexEscape(*version), "\" is no number"));
  }
  if (number > kSchemaVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(options_.directory, ": written by a newer quantd (schema ",
                     number, ", this one knows up to ", kSchemaVersion, ")"));
  }
  return absl::OkStatus();
}

absl::Status MetadataStore::Impl::Initialise() {
  ASSIGN_OR_RETURN(const std::string uuid, NewUuid());
  rocksdb::WriteBatch batch;
  rocksdb::ColumnFamilyHandle* meta = database_->handle(Table::kMeta);
  rocksdb::WriteOptions synced;
  synced.sync = true;
  rocksdb::Status status = batch.Put(meta, kUuidKey, uuid);
  if (status.ok()) {
    status = batch.Put(meta, kSchemaKey, absl::StrCat(kSchemaVersion));
  }
  if (status.ok()) status = database_->db().Write(synced, &batch);
  RETURN_IF_ERROR(FromRocksdb(status, DatabaseDirectory()));
  return WriteHighWaterMark(MarkPath(), HighWaterMark{uuid, LatestWrite()});
}

absl::Status MetadataStore::Impl::LoadState(
    const std::optional<HighWaterMark>& mark) {
  if (LatestWrite() == 0) RETURN_IF_ERROR(Initialise());
  absl::StatusOr<std::string> uuid = GetBytes(Table::kMeta, kUuidKey);
  if (absl::IsNotFound(uuid.status())) {
    return absl::DataLossError(
        absl::StrCat(DatabaseDirectory(), ": has no store uuid"));
  }
  RETURN_IF_ERROR(uuid.status());
  uuid_ = *std::move(uuid);
  if (mark.has_value()) {
    RETURN_IF_ERROR(CheckHighWaterMark(
        mark, HighWaterMark{uuid_, LatestWrite()}, MarkPath()));
  }
  absl::StatusOr<std::string> last = GetBytes(Table::kMeta, kLastSequenceKey);
  if (absl::IsNotFound(last.status())) return absl::OkStatus();
  RETURN_IF_ERROR(last.status());
  uint64_t sequence = 0;
  if (!absl::SimpleHexAtoi(*last, &sequence)) {
    return absl::DataLossError(
        absl::StrCat(DatabaseDirectory(), ": broken event sequence"));
  }
  sequence_.store(sequence);
  return absl::OkStatus();
}

absl::Status MetadataStore::Impl::Commit(const MetadataBatch& batch) {
  if (batch.empty()) return absl::OkStatus();
  if (degraded_.load()) {
    return absl::UnavailableError(
        absl::StrCat("the metadata store is read-only: ", health().message()));
  }
  rocksdb::WriteBatch writes;
  rocksdb::Status status;
  absl::string_view last_event;
  for (const MetadataBatch::Change& change : batch.changes_) {
    rocksdb::ColumnFamilyHandle* table = database_->handle(change.table);
    status = change.is_delete ? writes.Delete(table, change.key)
                              : writes.Put(table, change.key, change.value);
    if (!status.ok()) {
      return FromRocksdb(status, TableDatabase::NameOf(change.table));
    }
    if (change.table == Table::kEvents && !change.is_delete) {
      last_event = std::max(last_event, absl::string_view(change.key));
    }
  }
  if (!last_event.empty()) {
    status = writes.Merge(database_->handle(Table::kMeta), kLastSequenceKey,
                          ToSlice(last_event));
    if (!status.ok()) return FromRocksdb(status, kLastSequenceKey);
  }
  rocksdb::WriteOptions synced;
  synced.sync = true;
  const absl::Time start = absl::Now();
  // Concurrent callers share one log write and one fsync inside RocksDB.
  status = database_->db().Write(synced, &writes);
  if (commit_observer_) {
    commit_observer_(absl::ToDoubleSeconds(absl::Now() - start));
  }
  if (!status.ok()) {
    Degrade(FromRocksdb(status, "commit"));
    return absl::UnavailableError(
        absl::StrCat("commit failed, its outcome is unknown, the metadata "
                     "store is read-only from now on: ",
                     status.ToString()));
  }
  mark_keeper_->Advance(LatestWrite());
  return absl::OkStatus();
}

absl::StatusOr<std::string> MetadataStore::Impl::GetBytes(
    Table table, absl::string_view key) const {
  std::string value;
  const rocksdb::Status status = database_->db().Get(
      rocksdb::ReadOptions(), database_->handle(table), ToSlice(key), &value);
  if (status.IsNotFound()) {
    return absl::NotFoundError(
        absl::StrCat(TableDatabase::NameOf(table), ": no record ", key));
  }
  RETURN_IF_ERROR(FromRocksdb(
      status, absl::StrCat(TableDatabase::NameOf(table), "/", key)));
  return value;
}

std::unique_ptr<rocksdb::Iterator> MetadataStore::Impl::NewIterator(
    Table table) const {
  return std::unique_ptr<rocksdb::Iterator>(database_->db().NewIterator(
      rocksdb::ReadOptions(), database_->handle(table)));
}

absl::Status MetadataStore::Impl::IteratorStatus(
    Table table, const rocksdb::Iterator& iterator) const {
  return FromRocksdb(iterator.status(), TableDatabase::NameOf(table));
}

void MetadataStore::Impl::Degrade(const absl::Status& why) {
  {
    absl::MutexLock lock(&mutex_);
    if (!health_.ok()) return;
    health_ = why;
    degraded_.store(true);
  }
  Log(kLogError, absl::StrCat("read-only: ", why.ToString()));
  if (options_.on_degraded) options_.on_degraded(why);
}

absl::Status MetadataStore::Impl::health() const {
  absl::MutexLock lock(&mutex_);
  return health_;
}

uint64_t MetadataStore::Impl::size_bytes() const {
  uint64_t total = 0;
  std::error_code error;
  std::filesystem::directory_iterator entry(DatabaseDirectory(), error);
  const std::filesystem::directory_iterator end;
  while (!error && entry != end) {
    // A file may vanish between listing and asking: it counts as nothing.
    std::error_code gone;
    const uint64_t size = entry->file_size(gone);
    if (!gone) total += size;
    entry.increment(error);
  }
  return total;
}

absl::StatusOr<std::unique_ptr<MetadataStore>> MetadataStore::Open(
    Options options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<MetadataStore>(new MetadataStore(std::move(impl)));
}

MetadataStore::MetadataStore(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}

MetadataStore::~MetadataStore() = default;

absl::Status MetadataStore::Commit(const MetadataBatch& batch) {
  return impl_->Commit(batch);
}

absl::Status MetadataStore::Get(Table table, absl::string_view key,
                                google::protobuf::MessageLite* value) const {
  ASSIGN_OR_RETURN(const std::string bytes, impl_->GetBytes(table, key));
  if (!value->ParseFromString(bytes)) {
    return absl::DataLossError(
        absl::StrCat(TableDatabase::NameOf(table), "/", key,
                     ": the record does not parse as ", value->GetTypeName()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> MetadataStore::GetBytes(
    Table table, absl::string_view key) const {
  return impl_->GetBytes(table, key);
}

absl::Status MetadataStore::Scan(
    Table table, absl::string_view prefix, absl::string_view after,
    absl::FunctionRef<bool(absl::string_view key, absl::string_view value)>
        visit) const {
  const std::unique_ptr<rocksdb::Iterator> iterator = impl_->NewIterator(table);
  // Prefix scans are range scans here: no family has a prefix extractor.
  iterator->Seek(ToSlice(std::max(prefix, after)));
  for (; iterator->Valid(); iterator->Next()) {
    const absl::string_view key = ToView(iterator->key());
    if (!absl::StartsWith(key, prefix)) break;
    if (!after.empty() && key <= after) continue;
    if (!visit(key, ToView(iterator->value()))) break;
  }
  return impl_->IteratorStatus(table, *iterator);
}

absl::Status MetadataStore::ScanDown(
    Table table, absl::string_view before,
    absl::FunctionRef<bool(absl::string_view key, absl::string_view value)>
        visit) const {
  const std::unique_ptr<rocksdb::Iterator> iterator = impl_->NewIterator(table);
  if (before.empty()) {
    iterator->SeekToLast();
  } else {
    iterator->SeekForPrev(ToSlice(before));
  }
  for (; iterator->Valid(); iterator->Prev()) {
    const absl::string_view key = ToView(iterator->key());
    if (!before.empty() && key >= before) continue;
    if (!visit(key, ToView(iterator->value()))) break;
  }
  return impl_->IteratorStatus(table, *iterator);
}

uint64_t MetadataStore::NextSequence() { return impl_->NextSequence(); }
uint64_t MetadataStore::last_sequence() const { return impl_->last_sequence(); }
const std::string& MetadataStore::uuid() const { return impl_->uuid(); }
absl::Status MetadataStore::health() const { return impl_->health(); }
void MetadataStore::set_commit_observer(
    std::function<void(double seconds)> observer) {
  impl_->set_commit_observer(std::move(observer));
}
uint64_t MetadataStore::size_bytes() const { return impl_->size_bytes(); }

}  // namespace quantd
