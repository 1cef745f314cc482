// RocksDB's own log lines, forwarded to a function and never to a file:
// Debian's RocksDB is built with assertions, and its file logger aborts the
// process when it meets a full disk.
//
// Thread-safe as far as the function is.
#ifndef QUANTD_STORAGE_ROCKSDB_LOGGER_H_
#define QUANTD_STORAGE_ROCKSDB_LOGGER_H_

#include <cstdarg>
#include <functional>

#include "absl/strings/string_view.h"
#include "rocksdb/env.h"

namespace quantd {

class RocksdbLogger final : public rocksdb::Logger {
 public:
  // Level: 0 debug, 1 info, 2 warning, 3 error, 4 fatal. RocksDB's banner of
  // options counts as debug. `sink` may be empty.
  using Sink = std::function<void(int level, absl::string_view line)>;

  explicit RocksdbLogger(Sink sink);

  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override;
  void Logv(rocksdb::InfoLogLevel level, const char* format,
            va_list arguments) override;

 private:
  const Sink sink_;
};

}  // namespace quantd

#endif  // QUANTD_STORAGE_ROCKSDB_LOGGER_H_
