// What a computation runs with: device, cancellation, progress, notes. Passed
// by reference down the call chain, never stored beyond the call and never
// global, so that several runs can live in one process.
//
//   ExecutionContext context(device.get());
//   context.set_progress_sink([](const ProgressUpdate& p) { ... });
//   RETURN_IF_ERROR(context.CheckCancelled());
//
// Thread-safe: RequestCancel(), CheckCancelled() and cancelled(). The setters
// are called before the run starts; Report*() from the thread that runs it.
#ifndef QUANTD_KERNELS_EXECUTION_CONTEXT_H_
#define QUANTD_KERNELS_EXECUTION_CONTEXT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "kernels/device.h"

namespace quantd {

// One step of gradient descent.
struct TrainingProgress {
  int64_t step = 0;  // from 1
  int64_t steps = 0;
  double loss = 0;  // of the step's windows
  double learning_rate = 0;
};

struct ProgressUpdate {
  // as v1.Progress.phase: "load", "calibrate", "quantize", "tune", ...
  std::string phase;
  uint64_t done = 0;  // in units of the phase
  uint64_t total = 0;
  double fraction = 0;  // of the whole run, 0..1
  std::string detail;   // what is being worked on: "blocks.3"
  std::optional<TrainingProgress> training;
};

class ExecutionContext {
 public:
  // `device` must outlive the context.
  explicit ExecutionContext(Device* device) : device_(device) {}
  ExecutionContext(const ExecutionContext&) = delete;
  ExecutionContext& operator=(const ExecutionContext&) = delete;

  Device& device() const { return *device_; }

  // The type matrix products are computed in, float32 unless set.
  ComputeType compute_type() const { return compute_type_; }
  void set_compute_type(ComputeType type) { compute_type_ = type; }

  void RequestCancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  // Cancelled after RequestCancel(), else OK. Checked at least once per layer
  // and per batch.
  absl::Status CheckCancelled() const {
    return cancelled() ? absl::CancelledError("cancelled") : absl::OkStatus();
  }

  using ProgressSink = std::function<void(const ProgressUpdate&)>;
  void set_progress_sink(ProgressSink sink) {
    progress_sink_ = std::move(sink);
  }
  void ReportProgress(const ProgressUpdate& update) {
    if (progress_sink_) progress_sink_(update);
  }

  // Things a person reading the job's history wants to know: a damping retry,
  // a dead input channel, a resumed block.
  using MessageSink = std::function<void(absl::string_view)>;
  void set_note_sink(MessageSink sink) { note_sink_ = std::move(sink); }
  void set_warning_sink(MessageSink sink) { warning_sink_ = std::move(sink); }
  void ReportNote(absl::string_view text) {
    if (note_sink_) note_sink_(text);
  }
  void ReportWarning(absl::string_view text) {
    if (warning_sink_) warning_sink_(text);
  }

 private:
  Device* const device_;
  ComputeType compute_type_ = ComputeType::kF32;
  std::atomic<bool> cancelled_{false};
  ProgressSink progress_sink_;
  MessageSink note_sink_;
  MessageSink warning_sink_;
};

}  // namespace quantd

#endif  // QUANTD_KERNELS_EXECUTION_CONTEXT_H_
