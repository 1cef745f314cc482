#include "server/model_service.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/model_registration.h"
#include "server/proto_time.h"
#include "server/resource_deletion.h"
#include "server/resource_listing.h"
#include "server/resource_lookup.h"
#include "server/unary_call.h"

namespace quantd {
namespace {

constexpr char kCollection[] = "models";

}  // namespace

grpc::ServerUnaryReactor* ModelService::CreateModel(
    grpc::CallbackServerContext* call, const v1::CreateModelRequest* request,
    v1::Model* response) {
  return ServeUnary<v1::CreateModelRequest, v1::Model>(
      context_, call, "CreateModel", request, response,
      [this](const v1::CreateModelRequest& input, v1::Model* model) {
        return Create(input, model);
      });
}

absl::Status ModelService::Create(const v1::CreateModelRequest& request,
                                  v1::Model* model) {
  ASSIGN_OR_RETURN(const std::string id,
                   ResourceId(kCollection, request.model_id(), "model_id"));
  ASSIGN_OR_RETURN(const std::string path,
                   CheckModelPath(request.path(), context_.model_roots));
  // Two calls with one id and two paths must not both find it free.
  const KeyedLock::Hold hold = writers_.Acquire(id);
  v1::Model existing;
  const absl::Status found = context_.store->Get(Table::kModels, id, &existing);
  if (!found.ok() && !absl::IsNotFound(found)) return found;
  if (found.ok() && existing.path() != path) {
    return absl::AlreadyExistsError(absl::StrCat(
        kCollection, "/", id, " is registered with path ", existing.path()));
  }
  ASSIGN_OR_RETURN(*model, DescribeModelDirectory(path));
  model->set_name(absl::StrCat(kCollection, "/", id));
  *model->mutable_labels() = request.labels();
  *model->mutable_create_time() =
      found.ok() ? existing.create_time() : TimestampNow();
  MetadataBatch batch;
  batch.Put(Table::kModels, id, *model);
  return context_.store->Commit(batch);
}

grpc::ServerUnaryReactor* ModelService::GetModel(
    grpc::CallbackServerContext* call, const v1::GetModelRequest* request,
    v1::Model* response) {
  return ServeUnary<v1::GetModelRequest, v1::Model>(
      context_, call, "GetModel", request, response,
      [this](const v1::GetModelRequest& input, v1::Model* model) {
        return GetResource(*context_.store, Table::kModels, kCollection,
                           input.name(), model);
      });
}

grpc::ServerUnaryReactor* ModelService::ListModels(
    grpc::CallbackServerContext* call, const v1::ListModelsRequest* request,
    v1::ListModelsResponse* response) {
  return ServeUnary<v1::ListModelsRequest, v1::ListModelsResponse>(
      context_, call, "ListModels", request, response,
      [this](const v1::ListModelsRequest& input, v1::ListModelsResponse* page) {
        return ListPage<v1::Model>(
            *context_.store, Table::kModels, *context_.page_tokens,
            {kCollection, input.page_size(), input.page_token()},
            [](const v1::Model&) { return true; }, page->mutable_models(),
            page->mutable_next_page_token());
      });
}

grpc::ServerUnaryReactor* ModelService::DeleteModel(
    grpc::CallbackServerContext* call, const v1::DeleteModelRequest* request,
    google::protobuf::Empty* response) {
  return ServeUnary<v1::DeleteModelRequest, google::protobuf::Empty>(
      context_, call, "DeleteModel", request, response,
      [this](const v1::DeleteModelRequest& input, google::protobuf::Empty*) {
        return Delete(input);
      });
}

absl::Status ModelService::Delete(const v1::DeleteModelRequest& request) {
  ASSIGN_OR_RETURN(const std::string id,
                   ResourceId(kCollection, request.name()));
  const KeyedLock::Hold hold = writers_.Acquire(id);
  return DeleteResource(context_, Table::kModels, kCollection, id);
}

}  // namespace quantd
