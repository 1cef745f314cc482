// The only place that makes a grpc::Status out of ours. A failed call carries
// a google.rpc.Status in its binary details (https://google.aip.dev/193):
// BadRequest with every field violation, and ErrorInfo with a stable reason.
//
// Thread-safe.
#ifndef QUANTD_SERVER_STATUS_CONVERSION_H_
#define QUANTD_SERVER_STATUS_CONVERSION_H_

#include <string>

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace quantd {

// Everything a status says travels in trailers, and clients refuse trailers
// over 8 KiB: longer messages are cut, and so are lists of violations. Bytes
// that are not UTF-8 are escaped.
inline constexpr size_t kMaxStatusMessageBytes = 1024;
inline constexpr size_t kMaxStatusDetailsBytes = 3072;

// Codes map by number. ErrorInfo: domain "quantd", and as reason the
// UPPER_SNAKE word that the message starts with ("REQUEST_ID_REUSED: ..."),
// or else the name of the code ("NOT_FOUND").
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace quantd

#endif  // QUANTD_SERVER_STATUS_CONVERSION_H_
