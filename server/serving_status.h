// Whether the server serves, told to gRPC health checks: SERVING from the
// moment it is ready, NOT_SERVING once the store is read-only or the server
// drains, for the server as a whole ("") and for every service by name.
//
// Thread-safe.
#ifndef QUANTD_SERVER_SERVING_STATUS_H_
#define QUANTD_SERVER_SERVING_STATUS_H_

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/health_check_service_interface.h"

namespace quantd {

class ServingStatus {
 public:
  // `services` are full names, "quantd.v1.JobService".
  explicit ServingStatus(std::vector<std::string> services)
      : services_(std::move(services)) {}

  // From here on every change is told to `health`, until Detach().
  void Attach(grpc::HealthCheckServiceInterface* health);
  void Detach();

  void SetReady();
  // The first reason stays.
  void SetNotServing(const absl::Status& why);

  // OK when serving.
  absl::Status status() const;

 private:
  void Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::vector<std::string> services_;
  mutable absl::Mutex mutex_;
  grpc::HealthCheckServiceInterface* health_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status why_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quantd

#endif  // QUANTD_SERVER_SERVING_STATUS_H_
