#include "server/job_watch.h"

#include <atomic>
#include <chrono>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "grpcpp/alarm.h"
#include "proto/field_rules.h"
#include "server/status_conversion.h"
#include "server/unary_call.h"

namespace quantd {
namespace {

constexpr absl::Duration kProgressInterval = absl::Milliseconds(100);
constexpr int kEventBatch = 64;

bool IsTerminal(v1::JobState state) {
  return state == v1::SUCCEEDED || state == v1::FAILED ||
         state == v1::CANCELLED;
}

// What a client sees change between two events.
std::string Fingerprint(const v1::Job& job) {
  return absl::StrCat(job.cancel_requested() ? "c" : "-",
                      job.progress().SerializeAsString());
}

}  // namespace

// One stream. At any time at most one step is under way (`active_`): a run on
// the pool, or a write. Whatever happens meanwhile sets `dirty_`, and the step
// looks again before it rests.
class JobWatch final : public grpc::ServerWriteReactor<v1::WatchJobResponse>,
                       public std::enable_shared_from_this<JobWatch> {
 public:
  JobWatch(JobWatches* owner, const ServiceContext& context,
           const v1::WatchJobRequest& request)
      : owner_(owner),
        context_(context),
        request_(request),
        cursor_(request.after_sequence()) {}

  // Something may have changed.
  void Wake() ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      if (finished_) return;
      dirty_ = true;
      if (active_) return;
      active_ = true;
    }
    ScheduleRun();
  }

  void Stop() ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      stopped_ = true;
    }
    Wake();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) {
      End(absl::CancelledError("the watcher is gone"));
      return;
    }
    queue_.pop_front();
    WriteOrRest();
  }

  void OnCancel() override {
    {
      absl::MutexLock lock(&mutex_);
      cancelled_ = true;
    }
    Wake();
  }

  void OnDone() override {
    const std::shared_ptr<JobWatch> self = shared_from_this();
    if (subscribed_) context_.jobs()->Unsubscribe(subscription_);
    owner_->Remove(self);
  }

 private:
  void ScheduleRun() {
    context_.pool->ScheduleContinuation(
        [self = shared_from_this()] { self->Run(); });
  }

  // One step; exclusive.
  void Run() {
    absl::Status status;
    {
      absl::MutexLock lock(&mutex_);
      dirty_ = false;
      if (cancelled_) {
        status = absl::CancelledError("the watcher is gone");
      } else if (stopped_) {
        status = absl::UnavailableError(
            "the server is shutting down; resume with after_sequence");
      }
    }
    if (status.ok()) status = Refill();
    if (!status.ok()) {
      End(status);
      return;
    }
    WriteOrRest();
  }

  absl::Status Begin() {
    if (context_.jobs() == nullptr) return StartingError();
    RETURN_IF_ERROR(Validate(request_));
    ASSIGN_OR_RETURN(const v1::Job job, context_.jobs()->Get(request_.name()));
    if (cursor_ > context_.store->last_sequence()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "STORE_REWOUND: after_sequence is ", cursor_,
          ", the server's last event is ", context_.store->last_sequence()));
    }
    name_ = job.name();
    subscription_ = context_.jobs()->Subscribe(
        name_, [watch = std::weak_ptr<JobWatch>(shared_from_this())] {
          if (const auto self = watch.lock()) self->Wake();
        });
    subscribed_ = true;
    return absl::OkStatus();
  }

  // Fills the queue with what the client does not know yet.
  absl::Status Refill() {
    const bool first = !subscribed_;
    if (first) RETURN_IF_ERROR(Begin());
    ASSIGN_OR_RETURN(std::vector<v1::JobEvent> events,
                     context_.jobs()->EventsAfter(name_, cursor_, kEventBatch));
    // After the events, so that it is never older than one of them.
    ASSIGN_OR_RETURN(const v1::Job job, context_.jobs()->Get(name_));
    const std::string fingerprint = Fingerprint(job);
    const absl::Time now = absl::Now();
    if (!first && events.empty() && fingerprint != sent_fingerprint_ &&
        now < sent_time_ + kProgressInterval) {
      WakeAt(sent_time_ + kProgressInterval);
      return absl::OkStatus();
    }
    if (first || (events.empty() && fingerprint != sent_fingerprint_)) {
      *queue_.emplace_back().mutable_job() = job;
    }
    for (v1::JobEvent& event : events) {
      cursor_ = event.sequence();
      v1::WatchJobResponse& response = queue_.emplace_back();
      *response.mutable_job() = job;
      *response.mutable_event() = std::move(event);
    }
    if (!queue_.empty()) {
      sent_fingerprint_ = fingerprint;
      sent_time_ = now;
    }
    complete_ = IsTerminal(job.state()) && cursor_ >= job.event_sequence();
    if (!complete_ && static_cast<int>(events.size()) == kEventBatch) {
      absl::MutexLock lock(&mutex_);
      dirty_ = true;  // there may be more
    }
    return absl::OkStatus();
  }

  void WriteOrRest() {
    if (!queue_.empty()) {
      StartWrite(&queue_.front());
      return;
    }
    if (complete_) {
      End(absl::OkStatus());
      return;
    }
    {
      absl::MutexLock lock(&mutex_);
      if (!dirty_) {
        active_ = false;
        return;
      }
    }
    ScheduleRun();
  }

  void WakeAt(absl::Time time) {
    if (alarm_set_) return;
    alarm_set_ = true;
    // A new alarm each time: the callback of the last one may still be on its
    // way out. The alarm keeps its callback, so that must not keep the watch.
    alarm_ = std::make_unique<grpc::Alarm>();
    alarm_->Set(absl::ToChronoTime(time),
                [watch = std::weak_ptr<JobWatch>(shared_from_this())](bool) {
                  const std::shared_ptr<JobWatch> self = watch.lock();
                  if (self == nullptr) return;
                  self->alarm_set_ = false;
                  self->Wake();
                });
  }

  void End(const absl::Status& status) {
    {
      absl::MutexLock lock(&mutex_);
      finished_ = true;
    }
    if (!status.ok()) LogFailure(*context_.log, "WatchJob", status);
    Finish(ToGrpcStatus(status));
  }

  JobWatches* const owner_;
  const ServiceContext& context_;
  const v1::WatchJobRequest request_;

  // Of the step under way.
  std::string name_;
  bool subscribed_ = false;
  JobManager::SubscriptionId subscription_ = 0;
  uint64_t cursor_;
  std::deque<v1::WatchJobResponse> queue_;
  std::string sent_fingerprint_;
  absl::Time sent_time_ = absl::InfinitePast();
  bool complete_ = false;

  std::unique_ptr<grpc::Alarm> alarm_;
  // From WakeAt() until the alarm has called.
  std::atomic<bool> alarm_set_{false};

  absl::Mutex mutex_;
  bool active_ ABSL_GUARDED_BY(mutex_) = false;
  bool dirty_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

JobWatches::JobWatches() = default;
JobWatches::~JobWatches() = default;

grpc::ServerWriteReactor<v1::WatchJobResponse>* JobWatches::Start(
    const ServiceContext& context, const v1::WatchJobRequest& request) {
  auto watch = std::make_shared<JobWatch>(this, context, request);
  {
    absl::MutexLock lock(&mutex_);
    live_.insert(watch);
  }
  watch->Wake();
  return watch.get();
}

int JobWatches::size() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(live_.size());
}

void JobWatches::StopAll() {
  std::vector<std::shared_ptr<JobWatch>> watches;
  {
    absl::MutexLock lock(&mutex_);
    watches.assign(live_.begin(), live_.end());
  }
  for (const std::shared_ptr<JobWatch>& watch : watches) watch->Stop();
}

void JobWatches::Remove(const std::shared_ptr<JobWatch>& watch) {
  absl::MutexLock lock(&mutex_);
  live_.erase(watch);
}

}  // namespace quantd
