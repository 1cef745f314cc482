// The RocksDB database under the metadata store: its options, and one column
// family per table.
//
// Thread-safe after CreateMissingTables().
#ifndef QUANTD_STORAGE_TABLE_DATABASE_H_
#define QUANTD_STORAGE_TABLE_DATABASE_H_

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rocksdb/db.h"
#include "storage/metadata_store.h"
#include "storage/rocksdb_logger.h"

namespace quantd {

class TableDatabase {
 public:
  static constexpr size_t kTables = static_cast<size_t>(Table::kMeta) + 1;

  // Whether there is a database in `directory`.
  static bool Exists(const std::string& directory);

  // Opens or creates the database in `directory`, which must exist.
  // `on_background_error` hears of failed flushes and compactions, which no
  // caller waits for. Errors as of MetadataStore::Open().
  static absl::StatusOr<std::unique_ptr<TableDatabase>> Open(
      const std::string& directory, RocksdbLogger::Sink log,
      std::function<void(const absl::Status&)> on_background_error);
  ~TableDatabase();
  TableDatabase(const TableDatabase&) = delete;
  TableDatabase& operator=(const TableDatabase&) = delete;

  // Apart from Open(), so that the schema version can be checked before
  // anything is changed.
  absl::Status CreateMissingTables();

  rocksdb::DB& db() const { return *db_; }

  // nullptr for a table that is not created yet.
  rocksdb::ColumnFamilyHandle* handle(Table table) const {
    return tables_[static_cast<size_t>(table)];
  }

  // The persisted name.
  static const char* NameOf(Table table);

  const std::string& directory() const { return directory_; }

 private:
  explicit TableDatabase(std::string directory)
      : directory_(std::move(directory)) {}

  const std::string directory_;
  std::unique_ptr<rocksdb::DB> db_;
  // Every open family, also ones that this build has no table for.
  std::vector<rocksdb::ColumnFamilyHandle*> all_handles_;
  std::array<rocksdb::ColumnFamilyHandle*, kTables> tables_{};
};

}  // namespace quantd

#endif  // QUANTD_STORAGE_TABLE_DATABASE_H_
