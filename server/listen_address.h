// The addresses a server may listen on.
//
// Thread-safe: free functions.
#ifndef QUANTD_SERVER_LISTEN_ADDRESS_H_
#define QUANTD_SERVER_LISTEN_ADDRESS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quantd {

// "127.0.0.1:50151", "[::1]:0", "localhost:50151".
struct ListenAddress {
  std::string host;  // without brackets
  int port = 0;      // 0 = any free port

  // "host:port", an IPv6 address in brackets.
  std::string ToString() const;
};

// InvalidArgument when it is not host:port.
absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text);

// Whether only this machine can reach it.
bool IsLoopback(const ListenAddress& address);

// Binds and lets go at once, because gRPC does not say why it cannot:
// Unavailable "in use", PermissionDenied, InvalidArgument for a host that this
// machine has not. Names the address.
absl::Status CheckCanBind(const ListenAddress& address);

// How a process on this machine reaches a server that listens on `address`
// with `port` bound: wildcard hosts become loopback.
std::string LocalTarget(const ListenAddress& address, int port);

// Opens a connection to `target` ("host:port") and closes it again, to wake
// who listens there. Nobody listening is fine.
void Knock(const std::string& target);

}  // namespace quantd

#endif  // QUANTD_SERVER_LISTEN_ADDRESS_H_
