#include "server/worker_service.h"

#include "base/status_macros.h"
#include "server/unary_call.h"

namespace quantd {
namespace {

// The same frame as a client's call, without the clearing of output-only
// fields: a worker's report is made of them (the artifact, the evaluation).
template <typename Request>
grpc::ServerUnaryReactor* Serve(const ServiceContext& context,
                                HandlerPool* pool,
                                grpc::CallbackServerContext* call,
                                absl::string_view method,
                                const Request* request,
                                std::function<absl::Status()> handler) {
  return RunUnary(context, pool, call, method,
                  [request, handler = std::move(handler)] {
                    RETURN_IF_ERROR(Validate(*request));
                    return handler();
                  });
}

}  // namespace

grpc::ServerUnaryReactor* WorkerService::ClaimAttempt(
    grpc::CallbackServerContext* call, const v1::AttemptKey* request,
    v1::Assignment* response) {
  return Serve(context_, context_.pool, call, "ClaimAttempt", request,
               [this, request, response] {
                 ASSIGN_OR_RETURN(*response, context_.jobs()->Claim(*request));
                 return absl::OkStatus();
               });
}

grpc::ServerUnaryReactor* WorkerService::Heartbeat(
    grpc::CallbackServerContext* call, const v1::HeartbeatRequest* request,
    v1::HeartbeatResponse* response) {
  return Serve(context_, context_.heartbeat_pool, call, "Heartbeat", request,
               [this, request, response] {
                 ASSIGN_OR_RETURN(*response,
                                  context_.jobs()->Heartbeat(*request));
                 return absl::OkStatus();
               });
}

grpc::ServerUnaryReactor* WorkerService::ReportAttempt(
    grpc::CallbackServerContext* call, const v1::ReportAttemptRequest* request,
    google::protobuf::Empty*) {
  return Serve(context_, context_.pool, call, "ReportAttempt", request,
               [this, request] { return context_.jobs()->Report(*request); });
}

}  // namespace quantd
