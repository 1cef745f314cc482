#include "client/client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/connection.h"
#include "client/uuid.h"
#include "google/protobuf/empty.pb.h"
#include "proto/message_text.h"

namespace quantd {
namespace {

constexpr int kPageSize = 1000;
// Evaluations carry one number per window: smaller pages keep an answer in
// the megabytes.
constexpr int kEvaluationPageSize = 50;

template <typename Stub, typename Request, typename Response>
using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&,
                                      Response*);

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Call(Client::Connection& connection,
                              absl::Duration timeout, Stub& stub,
                              Method<Stub, Request, Response> method,
                              const Request& request) {
  // Words of a command line are any bytes.
  RETURN_IF_ERROR(CheckStrings(request));
  ScopedCall call(connection, timeout);
  Response response;
  RETURN_IF_ERROR(
      connection.Convert((stub.*method)(call.context(), request, &response)));
  return response;
}

// Walks the pages. `items` is the accessor of the response's repeated field;
// `limit` 0: all.
template <typename Item, typename Stub, typename Request, typename Response>
absl::StatusOr<std::vector<Item>> CallList(
    Client::Connection& connection, absl::Duration timeout, Stub& stub,
    Method<Stub, Request, Response> method, Request request,
    google::protobuf::RepeatedPtrField<Item>* (Response::*items)(),
    int limit = 0) {
  std::vector<Item> all;
  while (true) {
    absl::StatusOr<Response> page =
        Call(connection, timeout, stub, method, request);
    RETURN_IF_ERROR(page.status());
    for (Item& item : *(*page.*items)()) {
      all.push_back(std::move(item));
      if (limit > 0 && all.size() == static_cast<size_t>(limit)) return all;
    }
    if (page->next_page_token().empty()) return all;
    request.set_page_token(page->next_page_token());
  }
}

}  // namespace

std::string ResourceName(absl::string_view collection, absl::string_view name) {
  if (absl::StartsWith(name, absl::StrCat(collection, "/"))) {
    return std::string(name);
  }
  return absl::StrCat(collection, "/", name);
}

std::string BareId(absl::string_view name) {
  const size_t slash = name.rfind('/');
  if (slash != absl::string_view::npos) name.remove_prefix(slash + 1);
  return std::string(name);
}

bool HasEnded(const v1::Job& job) {
  return job.state() == v1::SUCCEEDED || job.state() == v1::FAILED ||
         job.state() == v1::CANCELLED;
}

Client::Client(ClientOptions options)
    : options_(std::move(options)),
      connection_(std::make_unique<Connection>(options_)) {}

Client::~Client() = default;

void Client::Cancel() { connection_->Cancel(); }

bool Client::Pause(absl::Duration pause) { return connection_->Pause(pause); }

absl::StatusOr<v1::Model> Client::CreateModel(v1::CreateModelRequest request) {
  if (request.request_id().empty()) request.set_request_id(RandomUuid());
  return Call(*connection_, options_.timeout, *connection_->models,
              &v1::ModelService::Stub::CreateModel, request);
}

absl::StatusOr<v1::Model> Client::GetModel(absl::string_view name) {
  v1::GetModelRequest request;
  request.set_name(ResourceName("models", name));
  return Call(*connection_, options_.timeout, *connection_->models,
              &v1::ModelService::Stub::GetModel, request);
}

absl::StatusOr<std::vector<v1::Model>> Client::ListModels() {
  v1::ListModelsRequest request;
  request.set_page_size(kPageSize);
  return CallList(*connection_, options_.timeout, *connection_->models,
                  &v1::ModelService::Stub::ListModels, request,
                  &v1::ListModelsResponse::mutable_models);
}

absl::Status Client::DeleteModel(absl::string_view name) {
  v1::DeleteModelRequest request;
  request.set_name(ResourceName("models", name));
  return Call(*connection_, options_.timeout, *connection_->models,
              &v1::ModelService::Stub::DeleteModel, request)
      .status();
}

absl::StatusOr<v1::Dataset> Client::GetDataset(absl::string_view name) {
  v1::GetDatasetRequest request;
  request.set_name(ResourceName("datasets", name));
  return Call(*connection_, options_.timeout, *connection_->datasets,
              &v1::DatasetService::Stub::GetDataset, request);
}

absl::StatusOr<std::vector<v1::Dataset>> Client::ListDatasets() {
  v1::ListDatasetsRequest request;
  request.set_page_size(kPageSize);
  return CallList(*connection_, options_.timeout, *connection_->datasets,
                  &v1::DatasetService::Stub::ListDatasets, request,
                  &v1::ListDatasetsResponse::mutable_datasets);
}

absl::Status Client::DeleteDataset(absl::string_view name) {
  v1::DeleteDatasetRequest request;
  request.set_name(ResourceName("datasets", name));
  return Call(*connection_, options_.timeout, *connection_->datasets,
              &v1::DatasetService::Stub::DeleteDataset, request)
      .status();
}

absl::StatusOr<std::vector<v1::Recipe>> Client::ListRecipes() {
  v1::ListRecipesRequest request;
  request.set_page_size(kPageSize);
  return CallList(*connection_, options_.timeout, *connection_->recipes,
                  &v1::RecipeService::Stub::ListRecipes, request,
                  &v1::ListRecipesResponse::mutable_recipes);
}

absl::StatusOr<v1::Recipe> Client::GetRecipe(absl::string_view name) {
  v1::GetRecipeRequest request;
  request.set_name(std::string(name));
  return Call(*connection_, options_.timeout, *connection_->recipes,
              &v1::RecipeService::Stub::GetRecipe, request);
}

absl::StatusOr<v1::Job> Client::CreateJob(const v1::JobSpec& spec,
                                          const CreateJobOptions& options) {
  v1::CreateJobRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id(options.request_id.empty() ? RandomUuid()
                                                    : options.request_id);
  request.set_validate_only(options.validate_only);
  return Call(*connection_, options_.timeout, *connection_->jobs,
              &v1::JobService::Stub::CreateJob, request);
}

absl::StatusOr<v1::Job> Client::GetJob(absl::string_view name) {
  v1::GetJobRequest request;
  request.set_name(ResourceName("jobs", name));
  return Call(*connection_, options_.timeout, *connection_->jobs,
              &v1::JobService::Stub::GetJob, request);
}

absl::StatusOr<std::vector<v1::Job>> Client::ListJobs(
    const ListJobsOptions& options) {
  v1::ListJobsRequest request;
  request.set_page_size(options.limit > 0 ? std::min(options.limit, kPageSize)
                                          : kPageSize);
  request.set_owner(options.owner);
  for (v1::JobState state : options.states) request.add_states(state);
  return CallList(*connection_, options_.timeout, *connection_->jobs,
                  &v1::JobService::Stub::ListJobs, request,
                  &v1::ListJobsResponse::mutable_jobs, options.limit);
}

absl::StatusOr<v1::Job> Client::CancelJob(absl::string_view name) {
  v1::CancelJobRequest request;
  request.set_name(ResourceName("jobs", name));
  return Call(*connection_, options_.timeout, *connection_->jobs,
              &v1::JobService::Stub::CancelJob, request);
}

absl::StatusOr<v1::ReadJobLogResponse> Client::ReadJobLog(
    absl::string_view name, uint32_t attempt, uint64_t offset) {
  v1::ReadJobLogRequest request;
  request.set_name(ResourceName("jobs", name));
  request.set_attempt(attempt);
  request.set_offset(offset);
  return Call(*connection_, options_.timeout, *connection_->jobs,
              &v1::JobService::Stub::ReadJobLog, request);
}

absl::StatusOr<v1::Artifact> Client::GetArtifact(absl::string_view name) {
  v1::GetArtifactRequest request;
  request.set_name(ResourceName("artifacts", name));
  return Call(*connection_, options_.timeout, *connection_->artifacts,
              &v1::ArtifactService::Stub::GetArtifact, request);
}

absl::StatusOr<std::vector<v1::Artifact>> Client::ListArtifacts() {
  v1::ListArtifactsRequest request;
  request.set_page_size(kPageSize);
  return CallList(*connection_, options_.timeout, *connection_->artifacts,
                  &v1::ArtifactService::Stub::ListArtifacts, request,
                  &v1::ListArtifactsResponse::mutable_artifacts);
}

absl::Status Client::DeleteArtifact(absl::string_view name) {
  v1::DeleteArtifactRequest request;
  request.set_name(ResourceName("artifacts", name));
  return Call(*connection_, options_.timeout, *connection_->artifacts,
              &v1::ArtifactService::Stub::DeleteArtifact, request)
      .status();
}

absl::StatusOr<v1::Evaluation> Client::GetEvaluation(absl::string_view name) {
  v1::GetEvaluationRequest request;
  request.set_name(ResourceName("evaluations", name));
  return Call(*connection_, options_.timeout, *connection_->evaluations,
              &v1::EvaluationService::Stub::GetEvaluation, request);
}

absl::StatusOr<std::vector<v1::Evaluation>> Client::ListEvaluations(
    absl::string_view target) {
  v1::ListEvaluationsRequest request;
  request.set_page_size(kEvaluationPageSize);
  request.set_target(std::string(target));
  auto evaluations =
      CallList(*connection_, options_.timeout, *connection_->evaluations,
               &v1::EvaluationService::Stub::ListEvaluations, request,
               &v1::ListEvaluationsResponse::mutable_evaluations);
  if (!evaluations.ok()) return evaluations;
  // The contract does not fix the order of this list.
  std::stable_sort(evaluations->begin(), evaluations->end(),
                   [](const v1::Evaluation& a, const v1::Evaluation& b) {
                     const auto& x = a.create_time();
                     const auto& y = b.create_time();
                     return std::make_pair(x.seconds(), x.nanos()) >
                            std::make_pair(y.seconds(), y.nanos());
                   });
  return evaluations;
}

absl::StatusOr<v1::Comparison> Client::CompareEvaluations(
    v1::CompareEvaluationsRequest request) {
  request.set_baseline(ResourceName("evaluations", request.baseline()));
  request.set_candidate(ResourceName("evaluations", request.candidate()));
  return Call(*connection_, options_.timeout, *connection_->evaluations,
              &v1::EvaluationService::Stub::CompareEvaluations, request);
}

absl::StatusOr<std::vector<v1::MetricInfo>> Client::ListMetrics() {
  ASSIGN_OR_RETURN(
      const v1::ListMetricsResponse response,
      Call(*connection_, options_.timeout, *connection_->evaluations,
           &v1::EvaluationService::Stub::ListMetrics,
           v1::ListMetricsRequest()));
  return std::vector<v1::MetricInfo>(response.metrics().begin(),
                                     response.metrics().end());
}

absl::StatusOr<v1::ContaminationReport> Client::CheckContamination(
    const v1::CheckContaminationRequest& request) {
  return Call(*connection_, options_.timeout, *connection_->evaluations,
              &v1::EvaluationService::Stub::CheckContamination, request);
}

absl::StatusOr<v1::DegradationReport> Client::FitDegradation(
    const v1::FitDegradationRequest& request) {
  return Call(*connection_, options_.timeout, *connection_->evaluations,
              &v1::EvaluationService::Stub::FitDegradation, request);
}

absl::StatusOr<std::vector<v1::TaskInfo>> Client::ListTasks(
    const std::vector<std::string>& definitions) {
  v1::ListTasksRequest request;
  for (const std::string& text : definitions) request.add_definitions(text);
  ASSIGN_OR_RETURN(
      const v1::ListTasksResponse response,
      Call(*connection_, options_.timeout, *connection_->evaluations,
           &v1::EvaluationService::Stub::ListTasks, request));
  return std::vector<v1::TaskInfo>(response.tasks().begin(),
                                   response.tasks().end());
}

}  // namespace quantd
