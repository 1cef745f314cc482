// The frame of every unary call: hand over to the pool, clear output-only
// fields, validate, run, convert the status, log what a person should know.
//
//   return ServeUnary<v1::GetModelRequest, v1::Model>(
//       context_, call, "GetModel", request, response,
//       [this](const v1::GetModelRequest& request, v1::Model* response) {
//         return Get(request, response);
//       });
#ifndef QUANTD_SERVER_UNARY_CALL_H_
#define QUANTD_SERVER_UNARY_CALL_H_

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "proto/field_rules.h"
#include "server/service_context.h"

namespace quantd {

// Logs a failed call at the level its code deserves: clients' mistakes are
// debug lines, what a person must look at is an error.
void LogFailure(JsonLog& log, absl::string_view method,
                const absl::Status& status);

// The status of a call that the pool has no room for.
absl::Status OverloadedError();
// The status of a call that came before the server was ready.
absl::Status StartingError();

// Runs `handler` on `pool` and finishes the call with its status. Exceptions
// of libraries below become Internal.
grpc::ServerUnaryReactor* RunUnary(const ServiceContext& context,
                                   HandlerPool* pool,
                                   grpc::CallbackServerContext* call,
                                   absl::string_view method,
                                   std::function<absl::Status()> handler);

// `method` must outlive the call (a literal). `request` and `response` are
// those of gRPC, valid until the call is finished. `pool` nullptr = the
// context's.
template <typename Request, typename Response>
grpc::ServerUnaryReactor* ServeUnary(
    const ServiceContext& context, grpc::CallbackServerContext* call,
    absl::string_view method, const Request* request, Response* response,
    std::function<absl::Status(const Request&, Response*)> handler,
    HandlerPool* pool = nullptr) {
  return RunUnary(context, pool == nullptr ? context.pool : pool, call, method,
                  [request, response, handler = std::move(handler)] {
                    Request cleaned = *request;
                    ClearOutputOnly(&cleaned);
                    RETURN_IF_ERROR(Validate(cleaned));
                    return handler(cleaned, response);
                  });
}

}  // namespace quantd

#endif  // QUANTD_SERVER_UNARY_CALL_H_
