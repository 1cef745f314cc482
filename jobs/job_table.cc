#include "jobs/job_table.h"

#include <algorithm>
#include <utility>

#include "jobs/job_id.h"

namespace quantd {
namespace {

std::vector<std::string> IdsOf(
    const google::protobuf::RepeatedPtrField<std::string>& names) {
  std::vector<std::string> ids;
  for (const std::string& name : names) {
    // Stored names were canonical when they were written.
    if (auto id = JobIdOf(name); id.ok()) ids.push_back(*std::move(id));
  }
  return ids;
}

}  // namespace

LiveJob::LiveJob(const v1::Job& record, std::vector<std::string> reads)
    : id(JobIdOf(record.name()).value_or("")),
      priority(record.spec().priority()),
      owner(record.spec().owner()),
      output_id(record.spec().quantize().output_id()),
      reads(std::move(reads)),
      after(IdsOf(record.spec().after())),
      state(record.state()),
      attempt(record.attempt()),
      cancel_requested(record.cancel_requested()),
      waiting_for(after.begin(), after.end()) {}

JobTable::JobPtr JobTable::Find(absl::string_view id) const {
  auto it = jobs_.find(id);
  return it == jobs_.end() ? nullptr : it->second;
}

void JobTable::Insert(JobPtr job) {
  Count(job->state, 1);
  if (!job->output_id.empty()) by_output_[job->output_id] = job;
  for (const std::string& id : job->after) dependents_[id].insert(job->id);
  const std::string id = job->id;
  jobs_.emplace(id, std::move(job));
}

void JobTable::Remove(const JobPtr& job) {
  job->ended = true;
  Count(job->state, -1);
  for (const std::string& id : job->after) {
    auto it = dependents_.find(id);
    if (it == dependents_.end()) continue;
    it->second.erase(job->id);
    if (it->second.empty()) dependents_.erase(it);
  }
  auto output = by_output_.find(job->output_id);
  if (output != by_output_.end() && output->second == job) {
    by_output_.erase(output);
  }
  jobs_.erase(job->id);
}

JobTable::JobPtr JobTable::FindByOutput(absl::string_view output_id) const {
  auto it = by_output_.find(output_id);
  return it == by_output_.end() ? nullptr : it->second;
}

JobTable::JobPtr JobTable::ReaderOf(absl::string_view resource) const {
  for (const auto& [id, job] : jobs_) {
    if (std::find(job->reads.begin(), job->reads.end(), resource) !=
        job->reads.end()) {
      return job;
    }
  }
  return nullptr;
}

std::vector<JobTable::JobPtr> JobTable::DependentsOf(
    absl::string_view id) const {
  std::vector<JobPtr> dependents;
  auto it = dependents_.find(id);
  if (it == dependents_.end()) return dependents;
  for (const std::string& dependent : it->second) {
    if (JobPtr job = Find(dependent)) dependents.push_back(std::move(job));
  }
  return dependents;
}

void JobTable::SetState(LiveJob& job, v1::JobState state) {
  Count(job.state, -1);
  job.state = state;
  Count(job.state, 1);
}

void JobTable::Count(v1::JobState state, int by) {
  if (state == v1::QUEUED) queued_ += by;
  if (state == v1::RUNNING) running_ += by;
}

}  // namespace quantd
