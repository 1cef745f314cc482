#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "jobs/input_resolution.h"
#include "jobs/job_manager_impl.h"
#include "jobs/job_spec.h"
#include "jobs/job_state.h"
#include "proto/field_rules.h"

namespace quantd {
namespace {

// Equal for equal specs: maps are written in the order of their keys.
std::string BodyDigest(const v1::JobSpec& spec) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    spec.SerializeToCodedStream(&coded);
  }
  return Sha256Hex(bytes);
}

absl::Status OutputTaken(absl::string_view output_id, absl::string_view by) {
  return absl::AlreadyExistsError(
      absl::StrCat("spec.quantize.output_id: \"", output_id, "\" is ", by));
}

}  // namespace

absl::Status JobManager::Impl::CheckOutputIsFree(
    absl::string_view output_id) const {
  if (output_id.empty()) return absl::OkStatus();
  const absl::Status status =
      store_->GetBytes(Table::kArtifacts, output_id).status();
  if (status.ok()) return OutputTaken(output_id, "an existing artifact");
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

// Enters the job in the index, with its turn taken: it reserves its output
// name and its place in the queue, and nobody can change it before it is
// durable.
absl::Status JobManager::Impl::Register(const JobPtr& job) {
  absl::MutexLock lock(&mutex_);
  if (draining_) return absl::UnavailableError("the server is shutting down");
  if (table_.queued() >= options_.max_queued) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the queue is full (", options_.max_queued, " jobs)"));
  }
  if (!job->output_id.empty()) {
    if (JobPtr other = table_.FindByOutput(job->output_id)) {
      return OutputTaken(job->output_id,
                         absl::StrCat("the output of ", JobName(other->id)));
    }
  }
  job->changing = true;
  table_.Insert(job);
  return absl::OkStatus();
}

absl::StatusOr<v1::Job> JobManager::Impl::Submit(
    const v1::CreateJobRequest& original) {
  v1::CreateJobRequest request = original;
  ClearOutputOnly(&request);
  RETURN_IF_ERROR(Validate(request));
  {
    absl::MutexLock lock(&mutex_);
    if (draining_) {
      return absl::UnavailableError("the server is shutting down");
    }
  }
  v1::JobSpec& spec = *request.mutable_spec();
  const bool is_recorded =
      !request.request_id().empty() && !request.validate_only();
  const std::string digest = is_recorded ? BodyDigest(spec) : "";
  const RequestLedger::Hold hold = ledger_.Acquire(
      is_recorded ? absl::StrCat("CreateJob/", request.request_id()) : "");
  ASSIGN_OR_RETURN(std::optional<std::string> first, hold.Find(digest));
  if (first.has_value()) {
    ASSIGN_OR_RETURN(v1::Job job,
                     Annotate(Get(*first), "the job of this request_id"));
    observer_->OnSubmitted(job, /*deduplicated=*/true);
    return job;
  }

  RETURN_IF_ERROR(CompleteSpec(&spec));
  const auto producing =
      [this](absl::string_view output_id) -> std::optional<std::string> {
    absl::MutexLock lock(&mutex_);
    JobPtr job = table_.FindByOutput(output_id);
    if (job == nullptr) return std::nullopt;
    return job->id;
  };
  RETURN_IF_ERROR(ResolveNames(*store_, producing, &spec));
  ASSIGN_OR_RETURN(std::optional<v1::Forecast> forecast,
                   admission_.Admit(spec));
  ASSIGN_OR_RETURN(std::vector<std::string> reads,
                   ResourcesRead(*store_, spec));
  const absl::Time now = clock_->Now();
  const std::string id = ids_->Next(now);
  if (spec.has_quantize() && spec.quantize().output_id().empty()) {
    spec.mutable_quantize()->set_output_id(
        DefaultOutputId(spec.quantize(), id));
  }

  v1::Job record;
  record.set_name(JobName(id));
  *record.mutable_spec() = std::move(spec);
  if (forecast.has_value()) {
    *record.mutable_forecast() = *std::move(forecast);
  }
  JobChange change(std::move(record), now);
  change.MoveTo(v1::QUEUED, change.record().spec().after().empty()
                                ? reason::kWaitingForSlot
                                : reason::kWaitingForDependency);
  auto job = std::make_shared<LiveJob>(change.record(), std::move(reads));
  if (request.validate_only()) {
    RETURN_IF_ERROR(CheckOutputIsFree(job->output_id));
    if (!job->output_id.empty()) {
      if (auto other = producing(job->output_id); other.has_value()) {
        return OutputTaken(job->output_id,
                           absl::StrCat("the output of ", JobName(*other)));
      }
    }
    change.record().clear_name();
    return change.record();
  }

  RETURN_IF_ERROR(Register(job));
  absl::Status status = CheckOutputIsFree(job->output_id);
  if (status.ok()) {
    MetadataBatch batch;
    hold.Record(JobName(id), digest, now, &batch);
    change.AppendTo(store_, &batch);
    status = store_->Commit(batch);
  }
  {
    absl::MutexLock lock(&mutex_);
    if (status.ok()) {
      if (!job->waiting_for.empty()) to_settle_.push_back(id);
      MaybeRunnable(job);
    } else {
      table_.Remove(job);
    }
    EndChange(*job);
  }
  RETURN_IF_ERROR(status);
  observer_->OnSubmitted(change.record(), /*deduplicated=*/false);
  return change.record();
}

absl::StatusOr<v1::Job> JobManager::Impl::Cancel(absl::string_view name) {
  ASSIGN_OR_RETURN(std::string id, JobIdOf(name));
  JobPtr job;
  {
    absl::MutexLock lock(&mutex_);
    job = BeginChange(id);
  }
  // Ended, or never there.
  if (job == nullptr) return Get(name);
  absl::StatusOr<v1::Job> record = Record(id);
  if (!record.ok()) return Abandon(job, record.status());
  if (record->cancel_requested()) {
    RETURN_IF_ERROR(Abandon(job, absl::OkStatus()));
    return Get(name);
  }
  JobChange change(*std::move(record), clock_->Now());
  change.record().set_cancel_requested(true);
  const bool is_running = change.from() == v1::RUNNING;
  const uint32_t attempt = change.record().attempt();
  if (is_running) {
    change.AddNote("cancellation requested");
  } else {
    change.MoveTo(v1::CANCELLED, reason::kCancelledByClient);
  }
  RETURN_IF_ERROR(CommitChange(job, std::move(change)));
  if (is_running) {
    executor_->Stop(JobName(id), attempt, options_.cancel_grace);
  }
  return Get(name);
}

absl::StatusOr<v1::Job> JobManager::Impl::Delete(absl::string_view name) {
  ASSIGN_OR_RETURN(std::string id, JobIdOf(name));
  ASSIGN_OR_RETURN(v1::Job record, Record(id));
  if (!IsTerminal(record.state())) {
    return absl::FailedPreconditionError(
        absl::StrCat(record.name(), " has not ended; cancel it first"));
  }
  {
    absl::MutexLock lock(&mutex_);
    const std::vector<JobPtr> dependents = table_.DependentsOf(id);
    if (!dependents.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          JobName(dependents.front()->id), " depends on ", record.name()));
    }
  }
  MetadataBatch batch;
  batch.Delete(Table::kJobs, id);
  const std::string prefix = absl::StrCat(id, "/");
  RETURN_IF_ERROR(
      store_->Scan(Table::kJobEvents, prefix, "",
                   [&](absl::string_view key, absl::string_view value) {
                     batch.Delete(Table::kJobEvents, key);
                     batch.Delete(Table::kEvents, key.substr(prefix.size()));
                     return true;
                   }));
  RETURN_IF_ERROR(store_->Commit(batch));
  files_.RemoveLogs(id, record.attempt());
  watchers_.Notify(id);
  return record;
}

}  // namespace quantd
