// quantd.v1.ModelService: registers checkpoint directories that the server can
// read. See the .proto for the contract; UploadModel is not served yet.
//
// Thread-safe.
#ifndef QUANTD_SERVER_MODEL_SERVICE_H_
#define QUANTD_SERVER_MODEL_SERVICE_H_

#include "quantd/v1/model.grpc.pb.h"
#include "server/keyed_lock.h"
#include "server/service_context.h"

namespace quantd {

class ModelService final : public v1::ModelService::CallbackService {
 public:
  // `context` must outlive the service.
  explicit ModelService(const ServiceContext* context) : context_(*context) {}

  grpc::ServerUnaryReactor* CreateModel(grpc::CallbackServerContext* call,
                                        const v1::CreateModelRequest* request,
                                        v1::Model* response) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* call,
                                     const v1::GetModelRequest* request,
                                     v1::Model* response) override;
  grpc::ServerUnaryReactor* ListModels(
      grpc::CallbackServerContext* call, const v1::ListModelsRequest* request,
      v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* DeleteModel(
      grpc::CallbackServerContext* call, const v1::DeleteModelRequest* request,
      google::protobuf::Empty* response) override;

 private:
  absl::Status Create(const v1::CreateModelRequest& request, v1::Model* model);
  absl::Status Delete(const v1::DeleteModelRequest& request);

  const ServiceContext& context_;
  KeyedLock writers_;  // by id
};

}  // namespace quantd

#endif  // QUANTD_SERVER_MODEL_SERVICE_H_
