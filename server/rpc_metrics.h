// Counts and times every call in one server interceptor, so that no handler
// does.
//
// Thread-safe.
#ifndef QUANTD_SERVER_RPC_METRICS_H_
#define QUANTD_SERVER_RPC_METRICS_H_

#include <memory>

#include "grpcpp/support/server_interceptor.h"
#include "prometheus/registry.h"

namespace quantd {

// quantd_grpc_server_started_total, quantd_grpc_server_handled_total and
// quantd_grpc_server_handling_seconds. The registry must outlive the factory.
// Only methods that the server serves reach an interceptor, so the label
// values are a closed set.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
NewRpcMetrics(prometheus::Registry* registry);

}  // namespace quantd

#endif  // QUANTD_SERVER_RPC_METRICS_H_
