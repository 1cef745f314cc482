// quantd.v1.ArtifactService: the products of jobs, and their files.
//
// Thread-safe.
#ifndef QUANTD_SERVER_ARTIFACT_SERVICE_H_
#define QUANTD_SERVER_ARTIFACT_SERVICE_H_

#include "quantd/v1/artifact.grpc.pb.h"
#include "server/service_context.h"

namespace quantd {

class ArtifactService final : public v1::ArtifactService::CallbackService {
 public:
  // `context` must outlive the service.
  explicit ArtifactService(const ServiceContext* context)
      : context_(*context) {}

  grpc::ServerUnaryReactor* GetArtifact(grpc::CallbackServerContext* call,
                                        const v1::GetArtifactRequest* request,
                                        v1::Artifact* response) override;
  grpc::ServerUnaryReactor* ListArtifacts(
      grpc::CallbackServerContext* call,
      const v1::ListArtifactsRequest* request,
      v1::ListArtifactsResponse* response) override;
  grpc::ServerWriteReactor<v1::ReadArtifactFileResponse>* ReadArtifactFile(
      grpc::CallbackServerContext* call,
      const v1::ReadArtifactFileRequest* request) override;
  grpc::ServerUnaryReactor* DeleteArtifact(
      grpc::CallbackServerContext* call,
      const v1::DeleteArtifactRequest* request,
      google::protobuf::Empty* response) override;

 private:
  const ServiceContext& context_;
};

}  // namespace quantd

#endif  // QUANTD_SERVER_ARTIFACT_SERVICE_H_
