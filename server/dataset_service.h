// quantd.v1.DatasetService: texts, stored once per digest.
//
// Thread-safe.
#ifndef QUANTD_SERVER_DATASET_SERVICE_H_
#define QUANTD_SERVER_DATASET_SERVICE_H_

#include "quantd/v1/dataset.grpc.pb.h"
#include "server/keyed_lock.h"
#include "server/service_context.h"

namespace quantd {

class DatasetService final : public v1::DatasetService::CallbackService {
 public:
  // `context` must outlive the service.
  explicit DatasetService(const ServiceContext* context) : context_(*context) {}

  grpc::ServerReadReactor<v1::UploadDatasetRequest>* UploadDataset(
      grpc::CallbackServerContext* call, v1::Dataset* response) override;
  grpc::ServerUnaryReactor* GetDataset(grpc::CallbackServerContext* call,
                                       const v1::GetDatasetRequest* request,
                                       v1::Dataset* response) override;
  grpc::ServerUnaryReactor* ListDatasets(
      grpc::CallbackServerContext* call, const v1::ListDatasetsRequest* request,
      v1::ListDatasetsResponse* response) override;
  grpc::ServerUnaryReactor* DeleteDataset(
      grpc::CallbackServerContext* call,
      const v1::DeleteDatasetRequest* request,
      google::protobuf::Empty* response) override;

 private:
  const ServiceContext& context_;
  KeyedLock writers_;  // by id
};

}  // namespace quantd

#endif  // QUANTD_SERVER_DATASET_SERVICE_H_
