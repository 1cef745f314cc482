#include "proto/field_rules.h"
#include "tests/client/fake_answers.h"
#include "tests/client/fake_quantd.h"

namespace quantd::test {
namespace {

using ::grpc::ServerContext;
using ::grpc::Status;
using ::grpc::StatusCode;

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

std::unique_ptr<grpc::Service> FakeQuantd::NewModels() {
  return std::make_unique<Models>(this);
}

}  // namespace quantd::test
