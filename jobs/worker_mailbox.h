// What the thread that runs the job leaves for the thread that talks to the
// server: the latest progress, and messages until they are delivered.
//
// Thread-safe.
#ifndef QUANTD_JOBS_WORKER_MAILBOX_H_
#define QUANTD_JOBS_WORKER_MAILBOX_H_

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "kernels/execution_context.h"
#include "quantd/v1/worker.pb.h"

namespace quantd {

class WorkerMailbox {
 public:
  void SetProgress(const ProgressUpdate& update) ABSL_LOCKS_EXCLUDED(mutex_);
  // Beyond kMaxMessages in all, messages are dropped, with one warning: every
  // one costs the server a durable write.
  void AddNote(absl::string_view text) ABSL_LOCKS_EXCLUDED(mutex_);
  void AddWarning(absl::string_view text) ABSL_LOCKS_EXCLUDED(mutex_);

  // Moves at most kBatch waiting messages and copies the progress.
  void Take(v1::HeartbeatRequest* request) ABSL_LOCKS_EXCLUDED(mutex_);
  // Puts back what a failed heartbeat had taken, before newer messages.
  void PutBack(const v1::HeartbeatRequest& request) ABSL_LOCKS_EXCLUDED(mutex_);
  bool HasMessages() const ABSL_LOCKS_EXCLUDED(mutex_);

  static constexpr int kMaxMessages = 10000;
  static constexpr int kBatch = 200;

 private:
  bool Admit() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  bool has_progress_ ABSL_GUARDED_BY(mutex_) = false;
  v1::Progress progress_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> notes_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> warnings_ ABSL_GUARDED_BY(mutex_);
  int messages_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace quantd

#endif  // QUANTD_JOBS_WORKER_MAILBOX_H_
