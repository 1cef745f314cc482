#include "storage/high_water_mark.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace quantd {

absl::StatusOr<std::optional<HighWaterMark>> ReadHighWaterMark(
    const std::string& path) {
  constexpr uint64_t kMaxBytes = 4096;
  absl::StatusOr<std::string> text = ReadFile(path, kMaxBytes);
  if (absl::IsNotFound(text.status())) return std::nullopt;
  RETURN_IF_ERROR(text.status());
  const std::vector<std::string> words =
      absl::StrSplit(*text, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  HighWaterMark mark;
  if (words.size() != 2 || text->back() != '\n' ||
      !absl::SimpleAtoi(words[1], &mark.sequence)) {
    return absl::DataLossError(
        absl::StrCat(path, ": not a high-water mark of a quantd store"));
  }
  mark.uuid = words[0];
  return mark;
}

absl::Status WriteHighWaterMark(const std::string& path,
                                const HighWaterMark& mark) {
  return WriteFileDurably(path,
                          absl::StrCat(mark.uuid, " ", mark.sequence, "\n"));
}

absl::Status CheckHighWaterMark(const std::optional<HighWaterMark>& mark,
                                const HighWaterMark& store,
                                absl::string_view path) {
  if (!mark.has_value()) return absl::OkStatus();
  if (mark->uuid != store.uuid) {
    return absl::DataLossError(absl::StrCat(
        path, ": belongs to store ", mark->uuid, ", the database beside it is ",
        store.uuid.empty() ? "empty" : store.uuid,
        ": the database was lost or replaced; restore it, or remove this file "
        "to accept what is there"));
  }
  if (store.sequence < mark->sequence) {
    return absl::DataLossError(absl::StrCat(
        path, ": the database ends at write ", store.sequence,
        " but had acknowledged write ", mark->sequence,
        " (high-water mark): a log file is missing; restore it, or remove this "
        "file to accept the loss"));
  }
  return absl::OkStatus();
}

HighWaterMarkKeeper::HighWaterMarkKeeper(
    std::string path, HighWaterMark start,
    std::function<void(const absl::Status&)> on_error)
    : path_(std::move(path)),
      uuid_(std::move(start.uuid)),
      on_error_(std::move(on_error)),
      reached_(start.sequence),
      thread_([this] { Run(); }) {}

HighWaterMarkKeeper::~HighWaterMarkKeeper() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  thread_.join();
}

void HighWaterMarkKeeper::Advance(uint64_t sequence) {
  absl::MutexLock lock(&mutex_);
  reached_ = std::max(reached_, sequence);
  ++commits_;
}

bool HighWaterMarkKeeper::Due() const {
  return stop_ || commits_ >= kCommitsPerWrite;
}

void HighWaterMarkKeeper::Run() {
  constexpr absl::Duration kMaxDelay = absl::Seconds(1);
  while (true) {
    HighWaterMark mark{uuid_, 0};
    int commits = 0;
    bool stop = false;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(this, &HighWaterMarkKeeper::Due),
                              kMaxDelay);
      stop = stop_;
      commits = std::exchange(commits_, 0);
      mark.sequence = reached_;
    }
    if (commits > 0) {
      const absl::Status written = WriteHighWaterMark(path_, mark);
      if (!written.ok()) on_error_(written);
    }
    if (stop) return;
  }
}

}  // namespace quantd
