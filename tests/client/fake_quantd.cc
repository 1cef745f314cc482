#include "tests/client/fake_quantd.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "client/client.h"
#include "google/rpc/error_details.pb.h"
#include "proto/field_rules.h"

namespace quantd::test {
namespace {

using ::grpc::ServerContext;
using ::grpc::Status;
using ::grpc::StatusCode;

Status NotFound(const std::string& name) {
  return Status(StatusCode::NOT_FOUND, absl::StrCat(name, " does not exist"));
}

// As a server sends it: code, message, and field violations in the trailer.
Status Rich(const absl::Status& status) {
  if (status.ok()) return Status::OK;
  google::rpc::BadRequest bad_request;
  for (const FieldViolation& violation : ViolationsOf(status)) {
    auto* entry = bad_request.add_field_violations();
    entry->set_field(violation.field);
    entry->set_description(violation.description);
  }
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.add_details()->PackFrom(bad_request);
  return Status(static_cast<StatusCode>(status.code()),
                std::string(status.message()), details.SerializeAsString());
}

template <typename T>
Status Find(const std::map<std::string, T>& items, const std::string& name,
            T* found) {
  const auto it = items.find(name);
  if (it == items.end()) return NotFound(name);
  *found = it->second;
  return Status::OK;
}

// Pages of two, so that every list of three takes two calls.
template <typename Items, typename Add>
void Page(const Items& items, const std::string& token, Add add,
          std::string* next) {
  constexpr size_t kPage = 2;
  const size_t begin = token.empty() ? 0 : std::stoul(token);
  for (size_t i = begin; i < std::min(items.size(), begin + kPage); ++i) {
    add(items[i]);
  }
  if (begin + kPage < items.size()) *next = absl::StrCat(begin + kPage);
}

template <typename T>
std::vector<T> Values(const std::map<std::string, T>& items) {
  std::vector<T> values;
  for (const auto& [name, item] : items) values.push_back(item);
  return values;
}

v1::PerplexityTag Tag(const std::string& convention) {
  v1::PerplexityTag tag;
  tag.set_convention(convention);
  tag.set_window_tokens(512);
  tag.set_text_digest(std::string(64, 'a'));
  tag.set_token_count(397372);
  tag.set_bos_policy("none");
  tag.set_tokenizer_digest(std::string(64, 'b'));
  return tag;
}

}  // namespace

class FakeQuantd::Models : public v1::ModelService::Service {
 public:
  explicit Models(FakeQuantd* fake) : fake_(*fake) {}

  Status CreateModel(ServerContext*, const v1::CreateModelRequest* request,
                     v1::Model* model) override {
    if (Status s = fake_.Enter("CreateModel"); !s.ok()) return s;
    if (const auto s = Validate(*request); !s.ok()) return Rich(s);
    absl::MutexLock lock(&fake_.mutex_);
    fake_.created_models_.push_back(*request);
    model->set_name("models/" + request->model_id());
    model->set_path(request->path());
    model->set_architecture("llama");
    model->set_parameters(1000000);
    model->set_size_bytes(2000000);
    const auto it = fake_.models_.find(model->name());
    if (it != fake_.models_.end() && it->second.path() != model->path()) {
      return Status(StatusCode::ALREADY_EXISTS,
                    model->name() + " exists with another path");
    }
    fake_.models_[model->name()] = *model;
    return Status::OK;
  }

  Status GetModel(ServerContext*, const v1::GetModelRequest* request,
                  v1::Model* model) override {
    if (Status s = fake_.Enter("GetModel"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    return Find(fake_.models_, request->name(), model);
  }

  Status ListModels(ServerContext*, const v1::ListModelsRequest* request,
                    v1::ListModelsResponse* response) override {
    if (Status s = fake_.Enter("ListModels"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    Page(
        Values(fake_.models_), request->page_token(),
        [&](const v1::Model& m) { *response->add_models() = m; },
        response->mutable_next_page_token());
    return Status::OK;
  }

  Status DeleteModel(ServerContext*, const v1::DeleteModelRequest* request,
                     google::protobuf::Empty*) override {
    if (Status s = fake_.Enter("DeleteModel"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    return fake_.models_.erase(request->name()) > 0 ? Status::OK
                                                    : NotFound(request->name());
  }

 private:
  FakeQuantd& fake_;
};

class FakeQuantd::Datasets : public v1::DatasetService::Service {
 public:
  explicit Datasets(FakeQuantd* fake) : fake_(*fake) {}

  Status UploadDataset(ServerContext*,
                       grpc::ServerReader<v1::UploadDatasetRequest>* reader,
                       v1::Dataset* dataset) override {
    if (Status s = fake_.Enter("UploadDataset"); !s.ok()) return s;
    v1::UploadDatasetRequest request;
    if (!reader->Read(&request) || !request.has_header()) {
      return Status(StatusCode::INVALID_ARGUMENT, "header expected first");
    }
    const auto header = request.header();
    std::string bytes;
    while (reader->Read(&request)) {
      if (request.data().size() > (1 << 20)) {
        return Status(StatusCode::INVALID_ARGUMENT, "chunk over 1 MiB");
      }
      bytes += request.data();
      absl::MutexLock lock(&fake_.mutex_);
      if (fake_.break_next_upload_) {
        fake_.break_next_upload_ = false;
        return Status(StatusCode::UNAVAILABLE, "draining");
      }
    }
    if (Sha256Hex(bytes) != header.digest() ||
        bytes.size() != header.size_bytes()) {
      return Status(StatusCode::INVALID_ARGUMENT, "digest differs");
    }
    absl::MutexLock lock(&fake_.mutex_);
    dataset->set_name("datasets/" + header.dataset_id());
    dataset->set_digest(header.digest());
    dataset->set_size_bytes(bytes.size());
    dataset->set_source(header.source());
    fake_.datasets_[dataset->name()] = *dataset;
    fake_.bytes_[dataset->name()] = bytes;
    return Status::OK;
  }

  Status GetDataset(ServerContext*, const v1::GetDatasetRequest* request,
                    v1::Dataset* dataset) override {
    if (Status s = fake_.Enter("GetDataset"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    return Find(fake_.datasets_, request->name(), dataset);
  }

  Status ListDatasets(ServerContext*, const v1::ListDatasetsRequest* request,
                      v1::ListDatasetsResponse* response) override {
    if (Status s = fake_.Enter("ListDatasets"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    Page(
        Values(fake_.datasets_), request->page_token(),
        [&](const v1::Dataset& d) { *response->add_datasets() = d; },
        response->mutable_next_page_token());
    return Status::OK;
  }

  Status DeleteDataset(ServerContext*, const v1::DeleteDatasetRequest* request,
                       google::protobuf::Empty*) override {
    if (Status s = fake_.Enter("DeleteDataset"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    return fake_.datasets_.erase(request->name()) > 0
               ? Status::OK
               : NotFound(request->name());
  }

 private:
  FakeQuantd& fake_;
};

class FakeQuantd::Recipes : public v1::RecipeService::Service {
 public:
  explicit Recipes(FakeQuantd* fake) : fake_(*fake) {}

  Status ListRecipes(ServerContext*, const v1::ListRecipesRequest*,
                     v1::ListRecipesResponse* response) override {
    if (Status s = fake_.Enter("ListRecipes"); !s.ok()) return s;
    *response->add_recipes() = Make("gptq");
    *response->add_recipes() = Make("rtn");
    return Status::OK;
  }

  Status GetRecipe(ServerContext*, const v1::GetRecipeRequest* request,
                   v1::Recipe* recipe) override {
    if (Status s = fake_.Enter("GetRecipe"); !s.ok()) return s;
    if (request->name() != "gptq" && request->name() != "rtn") {
      return NotFound(request->name());
    }
    *recipe = Make(request->name());
    return Status::OK;
  }

 private:
  static v1::Recipe Make(const std::string& name) {
    v1::Recipe recipe;
    recipe.set_name(name);
    recipe.set_title("Title of " + name);
    recipe.set_citation("Citation of " + name);
    if (name == "gptq") {
      recipe.set_needs_calibration(true);
      recipe.add_stages()->mutable_gptq()->set_damping(0.05);
    } else {
      recipe.add_stages()->mutable_rtn();
    }
    return recipe;
  }

  FakeQuantd& fake_;
};

class FakeQuantd::Jobs : public v1::JobService::Service {
 public:
  explicit Jobs(FakeQuantd* fake) : fake_(*fake) {}

  Status CreateJob(ServerContext*, const v1::CreateJobRequest* request,
                   v1::Job* job) override {
    if (Status s = fake_.Enter("CreateJob"); !s.ok()) return s;
    if (const auto s = Validate(*request); !s.ok()) return Rich(s);
    absl::MutexLock lock(&fake_.mutex_);
    fake_.created_jobs_.push_back(*request);
    *job->mutable_spec() = request->spec();
    FillDefaults(job);
    if (request->validate_only()) return Status::OK;
    if (request->request_id().empty()) {
      return Status(StatusCode::INVALID_ARGUMENT, "request_id expected");
    }
    std::string& known = fake_.requests_[request->request_id()];
    if (!known.empty()) {
      *job = fake_.jobs_[known].job;
      return Status::OK;
    }
    known = absl::StrCat("jobs/", fake_.jobs_.size() + 1);
    job->set_name(known);
    job->set_state(v1::QUEUED);
    StoredJob& stored = fake_.jobs_[known];
    stored.script = fake_.script_;
    stored.job = *job;
    fake_.job_order_.insert(fake_.job_order_.begin(), known);
    Play(&stored);
    return Status::OK;
  }

  Status GetJob(ServerContext*, const v1::GetJobRequest* request,
                v1::Job* job) override {
    if (Status s = fake_.Enter("GetJob"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    StoredJob stored;
    const Status status = Find(fake_.jobs_, request->name(), &stored);
    *job = stored.job;
    return status;
  }

  Status ListJobs(ServerContext*, const v1::ListJobsRequest* request,
                  v1::ListJobsResponse* response) override {
    if (Status s = fake_.Enter("ListJobs"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    std::vector<v1::Job> jobs;
    for (const std::string& name : fake_.job_order_) {
      const v1::Job& job = fake_.jobs_[name].job;
      const auto& states = request->states();
      if (states.empty() || std::find(states.begin(), states.end(),
                                      job.state()) != states.end()) {
        jobs.push_back(job);
      }
    }
    Page(
        jobs, request->page_token(),
        [&](const v1::Job& job) { *response->add_jobs() = job; },
        response->mutable_next_page_token());
    return Status::OK;
  }

  Status CancelJob(ServerContext*, const v1::CancelJobRequest* request,
                   v1::Job* job) override {
    if (Status s = fake_.Enter("CancelJob"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    const auto it = fake_.jobs_.find(request->name());
    if (it == fake_.jobs_.end()) return NotFound(request->name());
    if (!HasEnded(it->second.job)) {
      it->second.job.set_state(v1::CANCELLED);
    }
    *job = it->second.job;
    return Status::OK;
  }

  Status WatchJob(ServerContext* context, const v1::WatchJobRequest* request,
                  grpc::ServerWriter<v1::WatchJobResponse>* writer) override {
    if (Status s = fake_.Enter("WatchJob"); !s.ok()) return s;
    StoredJob stored;
    std::function<void()> on_watching;
    {
      absl::MutexLock lock(&fake_.mutex_);
      fake_.watch_tokens_.push_back(request->after_sequence());
      if (Status s = Find(fake_.jobs_, request->name(), &stored); !s.ok()) {
        return s;
      }
      if (stored.script.endless) on_watching.swap(fake_.on_watching_);
    }
    int sent = 0;
    for (const v1::WatchJobResponse& response : stored.responses) {
      if (response.has_event() &&
          response.event().sequence() <= request->after_sequence()) {
        continue;
      }
      if (sent == stored.script.break_after && sent > 0) {
        return Status(StatusCode::UNAVAILABLE, "restarting");
      }
      writer->Write(response);
      ++sent;
    }
    if (stored.script.endless) {
      if (on_watching) on_watching();
      while (!context->IsCancelled()) {
        absl::SleepFor(absl::Milliseconds(5));
      }
      return Status::CANCELLED;
    }
    return Status::OK;
  }

  Status ReadJobLog(ServerContext*, const v1::ReadJobLogRequest* request,
                    v1::ReadJobLogResponse* response) override {
    if (Status s = fake_.Enter("ReadJobLog"); !s.ok()) return s;
    constexpr absl::string_view kLog = "first line\nsecond line\n";
    absl::MutexLock lock(&fake_.mutex_);
    StoredJob stored;
    if (Status s = Find(fake_.jobs_, request->name(), &stored); !s.ok()) {
      return s;
    }
    // Eight bytes at a time, and one call that has nothing new yet.
    if (request->offset() == 8 && fake_.calls_["ReadJobLog"] == 2) {
      response->set_next_offset(8);
      response->set_attempt(1);
      return Status::OK;
    }
    const auto piece = kLog.substr(request->offset(), 8);
    response->set_data(std::string(piece));
    response->set_next_offset(request->offset() + piece.size());
    response->set_attempt(1);
    response->set_complete(response->next_offset() == kLog.size());
    return Status::OK;
  }

 private:
  // The whole life of the job at once: its events, its products.
  void Play(StoredJob* stored) ABSL_EXCLUSIVE_LOCKS_REQUIRED(fake_.mutex_) {
    v1::Job& job = stored->job;
    uint64_t sequence = 100;
    const auto respond = [&](v1::JobState from, v1::JobState to) {
      job.set_state(to);
      v1::WatchJobResponse response;
      v1::JobEvent* event = response.mutable_event();
      event->set_sequence(++sequence);
      event->set_job(job.name());
      event->set_attempt(job.attempt());
      event->mutable_state()->set_from(from);
      event->mutable_state()->set_to(to);
      *response.mutable_job() = job;
      stored->responses.push_back(response);
    };
    respond(v1::JOB_STATE_UNSPECIFIED, v1::QUEUED);
    job.set_attempt(1);
    respond(v1::QUEUED, v1::RUNNING);
    const int updates = stored->script.progress_updates;
    for (int i = 1; i <= updates; ++i) {
      job.mutable_progress()->set_phase("quantize");
      job.mutable_progress()->set_detail(absl::StrCat("blocks.", i));
      job.mutable_progress()->set_fraction(static_cast<double>(i) / updates);
      v1::WatchJobResponse response;
      *response.mutable_job() = job;
      stored->responses.push_back(response);
    }
    if (stored->script.endless) return;
    if (stored->script.end == v1::SUCCEEDED) Produce(&job);
    if (!stored->script.error.empty()) {
      job.mutable_error()->set_code(3);
      job.mutable_error()->set_message(stored->script.error);
    }
    respond(v1::RUNNING, stored->script.end);
  }

  void Produce(v1::Job* job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(fake_.mutex_) {
    v1::JobResult* result = job->mutable_result();
    result->set_wall_seconds(12.5);
    result->set_peak_memory_bytes(64 << 20);
    if (job->spec().has_quantize()) {
      v1::Artifact artifact;
      artifact.set_name("artifacts/" + job->spec().quantize().output_id());
      artifact.set_source(
          ResourceName("models", job->spec().quantize().model()));
      artifact.set_recipe(job->spec().quantize().method());
      artifact.set_bits_per_weight(3.5);
      artifact.set_size_bytes(700000);
      artifact.set_job(job->name());
      fake_.artifacts_[artifact.name()] = artifact;
      result->set_artifact(artifact.name());
      (*result->mutable_metrics())["bits_per_weight"] = 3.5;
      return;
    }
    v1::Evaluation evaluation;
    evaluation.set_name("evaluations/" + BareId(job->name()));
    evaluation.set_job(job->name());
    const std::string& target = job->spec().evaluate().target();
    const bool artifact = fake_.artifacts_.count("artifacts/" + target) > 0;
    evaluation.set_target((artifact ? "artifacts/" : "models/") +
                          BareId(target));
    evaluation.mutable_create_time()->set_seconds(
        1700000000 + static_cast<int64_t>(fake_.jobs_.size()));
    evaluation.set_wall_seconds(2.5);
    evaluation.set_peak_memory_bytes(1 << 20);
    evaluation.set_tokens_per_second(1000);
    evaluation.set_target_size_bytes(2000000);
    evaluation.set_bits_per_weight(artifact ? 3.5 : 0);
    for (const std::string& metric : job->spec().evaluate().metrics()) {
      v1::PerplexityReport* report = evaluation.add_perplexities();
      *report->mutable_tag() = Tag(metric);
      report->set_perplexity(artifact ? 125.5 : 120.3396);
      report->set_error_iid(1.25);
      report->set_error_clustered(2.5);
      report->set_window_count(776);
      report->set_scored_tokens(396536);
    }
    fake_.evaluations_[evaluation.name()] = evaluation;
    result->set_evaluation(evaluation.name());
  }

  FakeQuantd& fake_;
};

class FakeQuantd::Artifacts : public v1::ArtifactService::Service {
 public:
  explicit Artifacts(FakeQuantd* fake) : fake_(*fake) {}

  Status GetArtifact(ServerContext*, const v1::GetArtifactRequest* request,
                     v1::Artifact* artifact) override {
    if (Status s = fake_.Enter("GetArtifact"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    return Find(fake_.artifacts_, request->name(), artifact);
  }

  Status ListArtifacts(ServerContext*, const v1::ListArtifactsRequest* request,
                       v1::ListArtifactsResponse* response) override {
    if (Status s = fake_.Enter("ListArtifacts"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    Page(
        Values(fake_.artifacts_), request->page_token(),
        [&](const v1::Artifact& a) { *response->add_artifacts() = a; },
        response->mutable_next_page_token());
    return Status::OK;
  }

  Status ReadArtifactFile(
      ServerContext*, const v1::ReadArtifactFileRequest* request,
      grpc::ServerWriter<v1::ReadArtifactFileResponse>* writer) override {
    if (Status s = fake_.Enter("ReadArtifactFile"); !s.ok()) return s;
    std::string bytes;
    size_t limit = 0;
    {
      absl::MutexLock lock(&fake_.mutex_);
      fake_.download_offsets_.push_back(request->offset());
      const std::string key = request->name() + ":" + request->path();
      if (Status s = Find(fake_.files_, key, &bytes); !s.ok()) return s;
      if (fake_.corrupt_downloads_) {
        for (char& c : bytes) c = static_cast<char>(c ^ 1);
      }
      limit = fake_.break_downloads_after_;
    }
    if (request->offset() > bytes.size()) {
      return Status(StatusCode::OUT_OF_RANGE, "offset beyond the end");
    }
    constexpr size_t kChunk = 1000;
    size_t sent = 0;
    for (size_t at = request->offset(); at < bytes.size(); at += kChunk) {
      if (limit > 0 && sent >= limit) {
        return Status(StatusCode::UNAVAILABLE, "restarting");
      }
      v1::ReadArtifactFileResponse response;
      response.set_offset(at);
      response.set_data(bytes.substr(at, kChunk));
      writer->Write(response);
      sent += response.data().size();
    }
    return Status::OK;
  }

  Status DeleteArtifact(ServerContext*,
                        const v1::DeleteArtifactRequest* request,
                        google::protobuf::Empty*) override {
    if (Status s = fake_.Enter("DeleteArtifact"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    return fake_.artifacts_.erase(request->name()) > 0
               ? Status::OK
               : NotFound(request->name());
  }

 private:
  FakeQuantd& fake_;
};

class FakeQuantd::Evaluations : public v1::EvaluationService::Service {
 public:
  explicit Evaluations(FakeQuantd* fake) : fake_(*fake) {}

  Status GetEvaluation(ServerContext*, const v1::GetEvaluationRequest* request,
                       v1::Evaluation* evaluation) override {
    if (Status s = fake_.Enter("GetEvaluation"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    return Find(fake_.evaluations_, request->name(), evaluation);
  }

  Status ListEvaluations(ServerContext*,
                         const v1::ListEvaluationsRequest* request,
                         v1::ListEvaluationsResponse* response) override {
    if (Status s = fake_.Enter("ListEvaluations"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    std::vector<v1::Evaluation> matching;
    for (const auto& evaluation : Values(fake_.evaluations_)) {
      if (request->target().empty() ||
          evaluation.target() == request->target()) {
        matching.push_back(evaluation);
      }
    }
    Page(
        matching, request->page_token(),
        [&](const v1::Evaluation& e) { *response->add_evaluations() = e; },
        response->mutable_next_page_token());
    return Status::OK;
  }

  Status CompareEvaluations(ServerContext*,
                            const v1::CompareEvaluationsRequest* request,
                            v1::Comparison* comparison) override {
    if (Status s = fake_.Enter("CompareEvaluations"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    v1::Evaluation a, b;
    if (Status s = Find(fake_.evaluations_, request->baseline(), &a); !s.ok()) {
      return s;
    }
    if (Status s = Find(fake_.evaluations_, request->candidate(), &b);
        !s.ok()) {
      return s;
    }
    comparison->set_baseline(a.name());
    comparison->set_candidate(b.name());
    *comparison->mutable_tag() = a.perplexities(0).tag();
    const double x = a.perplexities(0).perplexity();
    const double y = b.perplexities(0).perplexity();
    comparison->set_baseline_perplexity(x);
    comparison->set_candidate_perplexity(y);
    comparison->set_ratio(y / x);
    comparison->set_ratio_error(0.01);
    comparison->set_log_ratio(std::log(y / x));
    comparison->set_log_ratio_error(0.0125);
    return Status::OK;
  }

  Status ListMetrics(ServerContext*, const v1::ListMetricsRequest*,
                     v1::ListMetricsResponse* response) override {
    if (Status s = fake_.Enter("ListMetrics"); !s.ok()) return s;
    v1::MetricInfo* metric = response->add_metrics();
    metric->set_pattern("ppl/gptq-N");
    metric->set_help("Perplexity over windows of N tokens");
    return Status::OK;
  }

 private:
  FakeQuantd& fake_;
};

FakeQuantd::FakeQuantd() {
  services_.push_back(std::make_unique<Models>(this));
  services_.push_back(std::make_unique<Datasets>(this));
  services_.push_back(std::make_unique<Recipes>(this));
  services_.push_back(std::make_unique<Jobs>(this));
  services_.push_back(std::make_unique<Artifacts>(this));
  services_.push_back(std::make_unique<Evaluations>(this));
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  for (const auto& service : services_) {
    builder.RegisterService(service.get());
  }
  server_ = builder.BuildAndStart();
  address_ = absl::StrCat("127.0.0.1:", port);
}

FakeQuantd::~FakeQuantd() {
  server_->Shutdown(std::chrono::system_clock::now());
}

Status FakeQuantd::Enter(const std::string& method) {
  absl::MutexLock lock(&mutex_);
  ++calls_[method];
  if (failures_ == 0) return Status::OK;
  --failures_;
  return failure_;
}

void FakeQuantd::FailNext(int count, Status status) {
  absl::MutexLock lock(&mutex_);
  failures_ = count;
  failure_ = std::move(status);
}

void FakeQuantd::SetScript(JobScript script) {
  absl::MutexLock lock(&mutex_);
  script_ = std::move(script);
}

void FakeQuantd::AddArtifact(const std::string& id, const std::string& source,
                             const std::map<std::string, std::string>& files) {
  absl::MutexLock lock(&mutex_);
  v1::Artifact artifact;
  artifact.set_name("artifacts/" + id);
  artifact.set_source(source);
  artifact.set_kind(v1::Artifact::COMPRESSED_CHECKPOINT);
  artifact.set_recipe("gptq");
  artifact.set_bits_per_weight(4.25);
  uint64_t size = 0;
  for (const auto& [path, bytes] : files) {
    v1::ArtifactFile* file = artifact.add_files();
    file->set_path(path);
    file->set_digest(Sha256Hex(bytes));
    file->set_size_bytes(bytes.size());
    size += bytes.size();
    files_[artifact.name() + ":" + path] = bytes;
  }
  artifact.set_size_bytes(size);
  artifacts_[artifact.name()] = artifact;
}

void FakeQuantd::BreakDownloadsAfter(size_t bytes) {
  absl::MutexLock lock(&mutex_);
  break_downloads_after_ = bytes;
}

void FakeQuantd::CorruptDownloads() {
  absl::MutexLock lock(&mutex_);
  corrupt_downloads_ = true;
}

void FakeQuantd::BreakNextUpload() {
  absl::MutexLock lock(&mutex_);
  break_next_upload_ = true;
}

void FakeQuantd::AddEvaluation(const v1::Evaluation& evaluation) {
  absl::MutexLock lock(&mutex_);
  evaluations_[evaluation.name()] = evaluation;
}

void FakeQuantd::OnWatching(std::function<void()> callback) {
  absl::MutexLock lock(&mutex_);
  on_watching_ = std::move(callback);
}

int FakeQuantd::calls(const std::string& method) {
  absl::MutexLock lock(&mutex_);
  return calls_[method];
}

std::vector<v1::CreateJobRequest> FakeQuantd::created_jobs() {
  absl::MutexLock lock(&mutex_);
  return created_jobs_;
}

std::vector<v1::CreateModelRequest> FakeQuantd::created_models() {
  absl::MutexLock lock(&mutex_);
  return created_models_;
}

std::vector<uint64_t> FakeQuantd::watch_tokens() {
  absl::MutexLock lock(&mutex_);
  return watch_tokens_;
}

std::vector<uint64_t> FakeQuantd::download_offsets() {
  absl::MutexLock lock(&mutex_);
  return download_offsets_;
}

std::string FakeQuantd::dataset_bytes(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  return bytes_["datasets/" + id];
}

}  // namespace quantd::test
