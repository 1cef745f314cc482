// gRPC statuses as absl::Status, with their rich error details
// (grpc-status-details-bin) kept as payloads under the details' type URLs, so
// that ViolationsOf() (proto/field_rules.h) reads field violations from them.
#ifndef QUANTD_CLIENT_GRPC_STATUS_H_
#define QUANTD_CLIENT_GRPC_STATUS_H_

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace quantd {

// Details that do not parse are dropped: code and message are what counts.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace quantd

#endif  // QUANTD_CLIENT_GRPC_STATUS_H_
