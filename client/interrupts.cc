#include "client/interrupts.h"

namespace quantd {

Interrupts::Handler::Handler(Interrupts& interrupts,
                             std::function<void()> on_interrupt)
    : interrupts_(interrupts), on_interrupt_(std::move(on_interrupt)) {
  absl::MutexLock lock(&interrupts_.mutex_);
  interrupts_.handler_ = this;
}

Interrupts::Handler::~Handler() {
  absl::MutexLock lock(&interrupts_.mutex_);
  interrupts_.handler_ = nullptr;
}

bool Interrupts::Handler::interrupted() const {
  absl::MutexLock lock(&interrupts_.mutex_);
  return interrupted_;
}

bool Interrupts::Raise() {
  // The handler runs under the lock so that it cannot be destroyed meanwhile;
  // it only sets flags and cancels calls.
  absl::MutexLock lock(&mutex_);
  if (handler_ == nullptr || handler_->interrupted_) return false;
  handler_->interrupted_ = true;
  handler_->on_interrupt_();
  return true;
}

}  // namespace quantd
