#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "jobs/job_manager_impl.h"
#include "jobs/job_state.h"
#include "proto/field_rules.h"

namespace quantd {
namespace {

constexpr int kDefaultPageSize = 50;
constexpr int kMaxPageSize = 1000;
// A page ends early rather than looking through a million jobs for a rare
// owner, or outgrowing gRPC's default message limit of 4 MiB.
constexpr int kMaxRowsPerPage = 20000;
constexpr size_t kMaxPageBytes = 2 << 20;
constexpr size_t kFilterDigits = 8;

// A page token belongs to one filter.
std::string FilterFingerprint(const v1::ListJobsRequest& request) {
  std::string text = absl::StrCat(request.owner(), "\n");
  for (int state : request.states()) absl::StrAppend(&text, state, ",");
  return Sha256Hex(text).substr(0, kFilterDigits);
}

std::string MakePageToken(const v1::ListJobsRequest& request,
                          absl::string_view last_id) {
  return absl::WebSafeBase64Escape(
      absl::StrCat(FilterFingerprint(request), last_id));
}

absl::StatusOr<std::string> ReadPageToken(const v1::ListJobsRequest& request) {
  if (request.page_token().empty()) return std::string();
  std::string text;
  if (!absl::WebSafeBase64Unescape(request.page_token(), &text) ||
      text.size() <= kFilterDigits || !IsJobId(text.substr(kFilterDigits))) {
    return InvalidField("page_token", "no token of this server");
  }
  if (text.substr(0, kFilterDigits) != FilterFingerprint(request)) {
    return InvalidField("page_token", "made for another filter");
  }
  return text.substr(kFilterDigits);
}

bool Matches(const v1::Job& job, const v1::ListJobsRequest& request) {
  if (!request.owner().empty() && job.spec().owner() != request.owner()) {
    return false;
  }
  return request.states().empty() ||
         std::find(request.states().begin(), request.states().end(),
                   job.state()) != request.states().end();
}

// Whether only jobs in memory can match.
bool AsksForLiveJobs(const v1::ListJobsRequest& request) {
  return !request.states().empty() &&
         std::all_of(request.states().begin(), request.states().end(),
                     [](int state) {
                       return state == v1::QUEUED || state == v1::RUNNING;
                     });
}

}  // namespace

absl::StatusOr<v1::Job> JobManager::Impl::Get(absl::string_view name) const {
  ASSIGN_OR_RETURN(std::string id, JobIdOf(name));
  ASSIGN_OR_RETURN(v1::Job record, Record(id));
  Overlay(&record);
  return record;
}

void JobManager::Impl::Overlay(v1::Job* record) const {
  if (IsTerminal(record->state())) return;
  absl::MutexLock lock(&mutex_);
  const JobPtr job = table_.Find(record->name().substr(sizeof("jobs/") - 1));
  // The record may be a commit ahead of the index.
  if (job == nullptr || job->state != record->state() ||
      job->attempt != record->attempt()) {
    return;
  }
  if (job->state == v1::RUNNING) {
    if (job->progress.has_value()) *record->mutable_progress() = *job->progress;
    return;
  }
  if (!job->waiting_for.empty()) {
    record->set_state_reason(reason::kWaitingForDependency);
  } else if (disk_low_) {
    record->set_state_reason(reason::kWaitingForDisk);
  } else if (record->state_reason() == reason::kWaitingForDependency) {
    record->set_state_reason(reason::kWaitingForSlot);
  }
}

std::vector<std::string> JobManager::Impl::LiveIdsBefore(
    absl::string_view id) const {
  std::vector<std::string> ids;
  absl::MutexLock lock(&mutex_);
  for (const auto& [live_id, job] : table_.jobs()) {
    if (!id.empty() && live_id >= id) break;
    ids.push_back(live_id);
  }
  std::reverse(ids.begin(), ids.end());
  return ids;
}

absl::StatusOr<v1::ListJobsResponse> JobManager::Impl::List(
    const v1::ListJobsRequest& request) const {
  RETURN_IF_ERROR(Validate(request));
  ASSIGN_OR_RETURN(const std::string before, ReadPageToken(request));
  const int page_size = request.page_size() == 0
                            ? kDefaultPageSize
                            : std::min(request.page_size(), kMaxPageSize);
  v1::ListJobsResponse response;
  size_t bytes = 0;
  int rows = 0;
  // Takes one row; false when the page is full.
  const auto take = [&](absl::string_view id, v1::Job job) {
    if (Matches(job, request)) {
      bytes += job.ByteSizeLong();
      *response.add_jobs() = std::move(job);
    }
    if (response.jobs_size() < page_size && bytes < kMaxPageBytes &&
        ++rows < kMaxRowsPerPage) {
      return true;
    }
    response.set_next_page_token(MakePageToken(request, id));
    return false;
  };

  if (AsksForLiveJobs(request)) {
    for (const std::string& id : LiveIdsBefore(before)) {
      absl::StatusOr<v1::Job> job = Record(id);
      if (absl::IsNotFound(job.status())) continue;  // not durable yet
      RETURN_IF_ERROR(job.status());
      if (!take(id, *std::move(job))) break;
    }
  } else {
    absl::Status broken;
    RETURN_IF_ERROR(store_->ScanDown(
        Table::kJobs, before,
        [&](absl::string_view id, absl::string_view value) {
          v1::Job job;
          if (!job.ParseFromArray(value.data(),
                                  static_cast<int>(value.size()))) {
            broken = absl::DataLossError(
                absl::StrCat(JobName(id), ": the record cannot be read"));
            return false;
          }
          return take(id, std::move(job));
        }));
    RETURN_IF_ERROR(broken);
  }
  for (v1::Job& job : *response.mutable_jobs()) Overlay(&job);
  return response;
}

absl::StatusOr<v1::ReadJobLogResponse> JobManager::Impl::ReadLog(
    const v1::ReadJobLogRequest& request) const {
  ASSIGN_OR_RETURN(std::string id, JobIdOf(request.name()));
  ASSIGN_OR_RETURN(v1::Job record, Record(id));
  if (request.attempt() > record.attempt()) {
    return absl::NotFoundError(absl::StrCat(record.name(), " has had ",
                                            record.attempt(), " attempts, not ",
                                            request.attempt()));
  }
  const uint32_t attempt =
      request.attempt() == 0 ? record.attempt() : request.attempt();
  // Asked before reading: what a worker wrote before it ended is then read.
  bool over;
  {
    absl::MutexLock lock(&mutex_);
    over = !workers_.contains({id, attempt}) &&
           (attempt < record.attempt() || record.state() != v1::RUNNING);
  }
  // "The latest" of a job that has not started will be another attempt.
  if (attempt == 0 && !IsTerminal(record.state())) over = false;
  v1::ReadJobLogResponse response;
  ASSIGN_OR_RETURN(*response.mutable_data(),
                   files_.ReadLog(id, attempt, request.offset()));
  response.set_next_offset(request.offset() + response.data().size());
  response.set_attempt(attempt);
  response.set_complete(over &&
                        response.data().size() < JobFiles::kMaxLogChunk);
  return response;
}

std::string JobManager::Impl::ReaderOf(absl::string_view resource) const {
  absl::MutexLock lock(&mutex_);
  const JobPtr job = table_.ReaderOf(resource);
  return job == nullptr ? "" : JobName(job->id);
}

absl::StatusOr<std::vector<v1::JobEvent>> JobManager::Impl::EventsAfter(
    absl::string_view name, uint64_t after, int limit) const {
  ASSIGN_OR_RETURN(std::string id, JobIdOf(name));
  RETURN_IF_ERROR(Record(id).status());
  const std::string prefix = absl::StrCat(id, "/");
  std::vector<std::string> keys;
  RETURN_IF_ERROR(store_->Scan(
      Table::kJobEvents, prefix, absl::StrCat(prefix, EventKey(after)),
      [&](absl::string_view key, absl::string_view value) {
        if (static_cast<int>(keys.size()) >= limit) return false;
        keys.emplace_back(key.substr(prefix.size()));
        return true;
      }));
  std::vector<v1::JobEvent> events;
  for (const std::string& key : keys) {
    v1::JobEvent event;
    const absl::Status status = store_->Get(Table::kEvents, key, &event);
    // The job was deleted since the scan.
    if (absl::IsNotFound(status)) return Record(id).status();
    RETURN_IF_ERROR(status);
    events.push_back(std::move(event));
  }
  return events;
}

JobManager::Counts JobManager::Impl::counts() const {
  const absl::Duration now = clock_->Monotonic();
  absl::MutexLock lock(&mutex_);
  Counts counts;
  counts.queued = table_.queued();
  counts.running = table_.running();
  if (const auto since = runnable_.OldestSince(); since.has_value()) {
    counts.oldest_queued = std::max(absl::ZeroDuration(), now - *since);
  }
  return counts;
}

std::vector<std::pair<std::string, v1::Progress>> JobManager::Impl::training()
    const {
  std::vector<std::pair<std::string, v1::Progress>> training;
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, job] : table_.jobs()) {
    if (job->state == v1::RUNNING && job->progress.has_value() &&
        job->progress->has_training()) {
      training.emplace_back(id, *job->progress);
    }
  }
  return training;
}

}  // namespace quantd
