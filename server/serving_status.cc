#include "server/serving_status.h"

namespace quantd {

void ServingStatus::Attach(grpc::HealthCheckServiceInterface* health) {
  absl::MutexLock lock(&mutex_);
  health_ = health;
  Publish();
}

void ServingStatus::Detach() {
  absl::MutexLock lock(&mutex_);
  health_ = nullptr;
}

void ServingStatus::SetReady() {
  absl::MutexLock lock(&mutex_);
  ready_ = true;
  Publish();
}

void ServingStatus::SetNotServing(const absl::Status& why) {
  absl::MutexLock lock(&mutex_);
  why_.Update(why);
  Publish();
}

absl::Status ServingStatus::status() const {
  absl::MutexLock lock(&mutex_);
  if (!why_.ok()) return why_;
  return ready_ ? absl::OkStatus()
                : absl::UnavailableError("the server is starting");
}

void ServingStatus::Publish() {
  if (health_ == nullptr) return;
  const bool serving = ready_ && why_.ok();
  health_->SetServingStatus("", serving);
  for (const std::string& service : services_) {
    health_->SetServingStatus(service, serving);
  }
}

}  // namespace quantd
