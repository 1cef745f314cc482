// quantd.v1.WorkerService: how worker processes talk to the job manager.
// LeaseAttempt is not served yet.
//
// Thread-safe.
#ifndef QUANTD_SERVER_WORKER_SERVICE_H_
#define QUANTD_SERVER_WORKER_SERVICE_H_

#include "quantd/v1/worker.grpc.pb.h"
#include "server/service_context.h"

namespace quantd {

class WorkerService final : public v1::WorkerService::CallbackService {
 public:
  // `context` must outlive the service.
  explicit WorkerService(const ServiceContext* context) : context_(*context) {}

  grpc::ServerUnaryReactor* ClaimAttempt(grpc::CallbackServerContext* call,
                                         const v1::AttemptKey* request,
                                         v1::Assignment* response) override;
  grpc::ServerUnaryReactor* Heartbeat(grpc::CallbackServerContext* call,
                                      const v1::HeartbeatRequest* request,
                                      v1::HeartbeatResponse* response) override;
  grpc::ServerUnaryReactor* ReportAttempt(
      grpc::CallbackServerContext* call,
      const v1::ReportAttemptRequest* request,
      google::protobuf::Empty* response) override;

 private:
  const ServiceContext& context_;
};

}  // namespace quantd

#endif  // QUANTD_SERVER_WORKER_SERVICE_H_
