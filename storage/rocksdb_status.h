// The absl::Status of a rocksdb::Status, made in one place.
#ifndef QUANTD_STORAGE_ROCKSDB_STATUS_H_
#define QUANTD_STORAGE_ROCKSDB_STATUS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "rocksdb/status.h"

namespace quantd {

// NotFound -> NotFound, Corruption -> DataLoss, no space -> ResourceExhausted,
// other input/output errors and states in which a retry may help ->
// Unavailable, the rest Internal. The message is "<context>: <RocksDB's>".
absl::Status FromRocksdb(const rocksdb::Status& status,
                         absl::string_view context);

}  // namespace quantd

#endif  // QUANTD_STORAGE_ROCKSDB_STATUS_H_
