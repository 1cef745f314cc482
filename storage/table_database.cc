#include "storage/table_database.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "rocksdb/convenience.h"
#include "rocksdb/listener.h"
#include "rocksdb/merge_operator.h"
#include "rocksdb/options.h"
#include "storage/rocksdb_status.h"

namespace quantd {
namespace {

// The names are persisted. Index = Table.
constexpr std::array<const char*, TableDatabase::kTables> kTableNames = {
    "jobs",      "events",      "job_events", "models", "datasets",
    "artifacts", "evaluations", "requests",   "meta"};
static_assert(kTableNames.back() != nullptr, "every table has a name");

class BackgroundErrorListener final : public rocksdb::EventListener {
 public:
  explicit BackgroundErrorListener(
      std::function<void(const absl::Status&)> on_error)
      : on_error_(std::move(on_error)) {}

  void OnBackgroundError(rocksdb::BackgroundErrorReason,
                         rocksdb::Status* error) override {
    on_error_(FromRocksdb(*error, "background work"));
  }

 private:
  const std::function<void(const absl::Status&)> on_error_;
};

rocksdb::DBOptions DatabaseOptions(
    RocksdbLogger::Sink log,
    std::function<void(const absl::Status&)> on_background_error) {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.info_log = std::make_shared<RocksdbLogger>(std::move(log));
  options.listeners.push_back(std::make_shared<BackgroundErrorListener>(
      std::move(on_background_error)));
  // The default mode silently drops everything behind a damaged record; this
  // one accepts only a torn last record, which was never acknowledged.
  options.wal_recovery_mode =
      rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  // A recycled log file makes a torn tail and old data indistinguishable.
  options.recycle_log_file_num = 0;
  options.manual_wal_flush = false;
  options.max_total_wal_size = uint64_t{64} << 20;  // bounds the replay
  options.keep_log_file_num = 5;
  options.max_open_files = -1;
  options.paranoid_checks = true;
  // After a failed fsync the page cache and the disk may disagree, so nothing
  // resumes by itself: the store is reopened.
  options.max_bgerror_resume_count = 0;
  return options;
}

absl::StatusOr<std::vector<rocksdb::ColumnFamilyDescriptor>> Describe(
    const std::vector<std::string>& names) {
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const std::string& name : names) {
    rocksdb::ColumnFamilyOptions options;
    options.write_buffer_size = size_t{8} << 20;
    options.max_write_buffer_number = 2;
    if (name == TableDatabase::NameOf(Table::kMeta)) {
      // For the last event sequence: concurrent commits may reach the log in
      // another order than their events were numbered; the byte-wise maximum
      // does not care.
      const rocksdb::Status made = rocksdb::MergeOperator::CreateFromString(
          rocksdb::ConfigOptions(), "MaxOperator", &options.merge_operator);
      if (!made.ok()) return FromRocksdb(made, "merge operator");
    }
    families.emplace_back(name, std::move(options));
  }
  return families;
}

absl::Status OpenError(const rocksdb::Status& status,
                       const std::string& directory) {
  // A file that the manifest names is gone.
  if (status.IsPathNotFound()) {
    return absl::DataLossError(
        absl::StrCat(directory, ": ", status.ToString()));
  }
  return FromRocksdb(status, directory);
}

}  // namespace

const char* TableDatabase::NameOf(Table table) {
  return kTableNames[static_cast<size_t>(table)];
}

bool TableDatabase::Exists(const std::string& directory) {
  std::error_code ignored;
  return std::filesystem::exists(directory + "/CURRENT", ignored);
}

absl::StatusOr<std::unique_ptr<TableDatabase>> TableDatabase::Open(
    const std::string& directory, RocksdbLogger::Sink log,
    std::function<void(const absl::Status&)> on_background_error) {
  std::unique_ptr<TableDatabase> database(new TableDatabase(directory));
  const rocksdb::DBOptions options =
      DatabaseOptions(std::move(log), std::move(on_background_error));
  std::vector<std::string> names = {rocksdb::kDefaultColumnFamilyName};
  if (Exists(directory)) {
    // All families must be opened, also those of a newer schema, to get as far
    // as reading which schema it is.
    const rocksdb::Status listed =
        rocksdb::DB::ListColumnFamilies(options, directory, &names);
    if (!listed.ok()) return OpenError(listed, directory);
  }
  ASSIGN_OR_RETURN(const std::vector<rocksdb::ColumnFamilyDescriptor> families,
                   Describe(names));
  rocksdb::DB* db = nullptr;
  const rocksdb::Status opened = rocksdb::DB::Open(
      options, directory, families, &database->all_handles_, &db);
  if (!opened.ok()) return OpenError(opened, directory);
  database->db_.reset(db);
  for (size_t i = 0; i < names.size(); ++i) {
    const auto row =
        std::find(kTableNames.begin(), kTableNames.end(), names[i]);
    if (row == kTableNames.end()) continue;
    database->tables_[static_cast<size_t>(row - kTableNames.begin())] =
        database->all_handles_[i];
  }
  return database;
}

TableDatabase::~TableDatabase() {
  if (db_ == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* handle : all_handles_) {
    db_->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  }
  // A failure is in RocksDB's log; every acknowledged commit is synced
  // already, so nothing can be lost here.
  db_->Close().PermitUncheckedError();
}

absl::Status TableDatabase::CreateMissingTables() {
  std::vector<std::string> missing;
  std::vector<size_t> indices;
  for (size_t i = 0; i < tables_.size(); ++i) {
    if (tables_[i] != nullptr) continue;
    missing.push_back(kTableNames[i]);
    indices.push_back(i);
  }
  if (missing.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<rocksdb::ColumnFamilyDescriptor> families,
                   Describe(missing));
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  const rocksdb::Status created = db_->CreateColumnFamilies(families, &handles);
  // On failure `handles` holds those that were made.
  for (size_t i = 0; i < handles.size(); ++i) {
    all_handles_.push_back(handles[i]);
    tables_[indices[i]] = handles[i];
  }
  return FromRocksdb(created, directory_);
}

}  // namespace quantd
