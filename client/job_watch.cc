// Client::WatchJob: one logical stream made of as many connections as it
// takes.
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "client/client.h"
#include "client/connection.h"

namespace quantd {
namespace {

// Worth taking the stream up again: the server went away or is draining, or
// it dropped a reader that was too slow for it.
bool IsInterruption(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
}

}  // namespace

absl::StatusOr<v1::Job> Client::WatchJob(absl::string_view name,
                                         const WatchJobOptions& options) {
  v1::WatchJobRequest request;
  request.set_name(ResourceName("jobs", name));
  request.set_after_sequence(options.after_sequence);
  Backoff backoff(options_);
  v1::Job job;
  while (true) {
    absl::Status status;
    {
      ScopedCall call(*connection_, absl::InfiniteDuration());
      const auto reader = connection_->jobs->WatchJob(call.context(), request);
      v1::WatchJobResponse response;
      while (reader->Read(&response)) {
        backoff.Reset();
        if (response.has_event()) {
          if (response.event().sequence() <= request.after_sequence()) {
            continue;  // seen before the connection broke
          }
          request.set_after_sequence(response.event().sequence());
        }
        job = response.job();
        if (options.on_response) options.on_response(response);
      }
      status = connection_->Convert(reader->Finish());
    }
    if (status.ok()) {
      // The terminal event may have been the last one seen before a break.
      if (!HasEnded(job)) {
        absl::StatusOr<v1::Job> current = GetJob(name);
        if (current.ok()) job = *std::move(current);
        status = current.status();
      }
      if (HasEnded(job)) return job;
    }
    if (!status.ok() && (!IsInterruption(status) || backoff.Exhausted())) {
      return status;
    }
    if (!status.ok() && options.on_interruption) {
      options.on_interruption(status);
    }
    if (!connection_->Pause(backoff.Next())) {
      return absl::CancelledError("watching was cancelled");
    }
  }
}

}  // namespace quantd
