// A note outside the database of how far it had come: RocksDB opens without a
// complaint when a whole log file is gone, so a store compares itself with
// this file and refuses to serve less than it once acknowledged.
//
// The file is one line of text: "<store uuid> <sequence>\n".
//
// The functions are pure or touch one file; the keeper is thread-safe.
#ifndef QUANTD_STORAGE_HIGH_WATER_MARK_H_
#define QUANTD_STORAGE_HIGH_WATER_MARK_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace quantd {

struct HighWaterMark {
  std::string uuid;
  // Of the database's last durable write.
  uint64_t sequence = 0;
};

// nullopt when there is no such file. DataLoss when it is not of the form
// above.
absl::StatusOr<std::optional<HighWaterMark>> ReadHighWaterMark(
    const std::string& path);

// Durable when it returns OK; the old content survives a failure.
absl::Status WriteHighWaterMark(const std::string& path,
                                const HighWaterMark& mark);

// OK when a store with this identity and progress may be served; DataLoss
// says what is missing. `path` names the file in the message.
absl::Status CheckHighWaterMark(const std::optional<HighWaterMark>& mark,
                                const HighWaterMark& store,
                                absl::string_view path);

// Keeps the file close behind the database without slowing a commit: a thread
// writes the latest sequence at most a second, or kCommitsPerWrite commits,
// after it was reached; the destructor writes the last one.
class HighWaterMarkKeeper {
 public:
  static constexpr int kCommitsPerWrite = 1024;

  // `on_error` hears of every write that fails (a full disk); the next commit
  // tries again.
  HighWaterMarkKeeper(std::string path, HighWaterMark start,
                      std::function<void(const absl::Status&)> on_error);
  ~HighWaterMarkKeeper();
  HighWaterMarkKeeper(const HighWaterMarkKeeper&) = delete;
  HighWaterMarkKeeper& operator=(const HighWaterMarkKeeper&) = delete;

  // `sequence` is durable. Out-of-order calls are fine.
  void Advance(uint64_t sequence);

 private:
  void Run();
  bool Due() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  const std::string uuid_;
  const std::function<void(const absl::Status&)> on_error_;

  absl::Mutex mutex_;
  uint64_t reached_ ABSL_GUARDED_BY(mutex_);
  int commits_ ABSL_GUARDED_BY(mutex_) = 0;  // since the last write
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace quantd

#endif  // QUANTD_STORAGE_HIGH_WATER_MARK_H_
