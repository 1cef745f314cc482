#include "storage/rocksdb_logger.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace quantd {
namespace {

constexpr int kInfo = 1;
constexpr int kFatal = 4;
// Longer lines are cut: they are banners, not messages.
constexpr size_t kMaxLineBytes = 2048;

}  // namespace

RocksdbLogger::RocksdbLogger(Sink sink)
    : rocksdb::Logger(rocksdb::InfoLogLevel::INFO_LEVEL),
      sink_(std::move(sink)) {}

void RocksdbLogger::Logv(const char* format, va_list arguments) {
  Logv(rocksdb::InfoLogLevel::INFO_LEVEL, format, arguments);
}

void RocksdbLogger::Logv(rocksdb::InfoLogLevel level, const char* format,
                         va_list arguments) {
  if (!sink_) return;
  // RocksDB's numbers are debug, info, warn, error, fatal, header.
  int rank = static_cast<int>(level);
  if (rank > kFatal) rank = 0;
  if (rank < kInfo && level != rocksdb::InfoLogLevel::HEADER_LEVEL) return;
  char line[kMaxLineBytes];
  const int n = std::vsnprintf(line, sizeof(line), format, arguments);
  if (n < 0) return;
  sink_(rank, absl::string_view(
                  line, std::min(static_cast<size_t>(n), sizeof(line) - 1)));
}

}  // namespace quantd
