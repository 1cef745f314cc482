#include "jobs/worker_mailbox.h"

#include <algorithm>

#include "jobs/bounded_text.h"
#include "jobs/job_change.h"

namespace quantd {
namespace {

std::string Message(absl::string_view text) {
  return ToBoundedUtf8(text, JobChange::kMaxMessageBytes);
}

using Field = google::protobuf::RepeatedPtrField<std::string>;

void Move(std::vector<std::string>* from, int limit, Field* to) {
  const auto end =
      from->begin() + std::min<ptrdiff_t>(limit, std::ssize(*from));
  for (auto it = from->begin(); it != end; ++it) *to->Add() = std::move(*it);
  from->erase(from->begin(), end);
}

}  // namespace

void WorkerMailbox::SetProgress(const ProgressUpdate& update) {
  absl::MutexLock lock(&mutex_);
  has_progress_ = true;
  progress_.set_phase(Message(update.phase));
  progress_.set_done(update.done);
  progress_.set_total(update.total);
  progress_.set_fraction(update.fraction);
  progress_.set_detail(Message(update.detail));
  progress_.clear_training();
  if (update.training.has_value()) {
    v1::TrainingStep& training = *progress_.mutable_training();
    training.set_step(static_cast<uint64_t>(update.training->step));
    training.set_steps(static_cast<uint64_t>(update.training->steps));
    training.set_loss(update.training->loss);
    training.set_learning_rate(update.training->learning_rate);
  }
}

bool WorkerMailbox::Admit() {
  if (messages_ == kMaxMessages) {
    warnings_.push_back("too many messages: further ones are not recorded");
  }
  return ++messages_ <= kMaxMessages;
}

void WorkerMailbox::AddNote(absl::string_view text) {
  absl::MutexLock lock(&mutex_);
  if (Admit()) notes_.push_back(Message(text));
}

void WorkerMailbox::AddWarning(absl::string_view text) {
  absl::MutexLock lock(&mutex_);
  if (Admit()) warnings_.push_back(Message(text));
}

void WorkerMailbox::Take(v1::HeartbeatRequest* request) {
  absl::MutexLock lock(&mutex_);
  if (has_progress_) *request->mutable_progress() = progress_;
  Move(&notes_, kBatch, request->mutable_notes());
  Move(&warnings_, kBatch, request->mutable_warnings());
}

void WorkerMailbox::PutBack(const v1::HeartbeatRequest& request) {
  absl::MutexLock lock(&mutex_);
  notes_.insert(notes_.begin(), request.notes().begin(), request.notes().end());
  warnings_.insert(warnings_.begin(), request.warnings().begin(),
                   request.warnings().end());
}

bool WorkerMailbox::HasMessages() const {
  absl::MutexLock lock(&mutex_);
  return !notes_.empty() || !warnings_.empty();
}

}  // namespace quantd
