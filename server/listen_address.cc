#include "server/listen_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

struct FreeAddrInfo {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using AddrInfoList = std::unique_ptr<addrinfo, FreeAddrInfo>;

absl::StatusOr<AddrInfoList> Resolve(const ListenAddress& address) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(
      address.host.c_str(), absl::StrCat(address.port).c_str(), &hints, &list);
  if (error != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot resolve ", address.ToString(), ": ", ::gai_strerror(error)));
  }
  return AddrInfoList(list);
}

bool IsLoopbackSocket(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
  }
  if (address->sa_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
  }
  return false;
}

absl::Status BindError(int error, const ListenAddress& address) {
  const std::string name = address.ToString();
  switch (error) {
    case EADDRINUSE:
      return absl::UnavailableError(
          absl::StrCat(name, ": the port is in use by another process"));
    case EACCES:
      return absl::PermissionDeniedError(
          absl::StrCat(name, ": not allowed to listen on this port"));
    case EADDRNOTAVAIL:
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": this machine has no such address"));
    default:
      return absl::UnavailableError(
          absl::StrCat(name, ": bind: ", strerror(error)));
  }
}

}  // namespace

std::string ListenAddress::ToString() const {
  if (absl::StrContains(host, ':')) return absl::StrCat("[", host, "]:", port);
  return absl::StrCat(host, ":", port);
}

absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text) {
  const size_t colon = text.rfind(':');
  ListenAddress address;
  int port = -1;
  if (colon != absl::string_view::npos &&
      absl::SimpleAtoi(text.substr(colon + 1), &port) && port >= 0 &&
      port <= 65535) {
    absl::string_view host = text.substr(0, colon);
    const bool bracketed =
        absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]");
    if (!host.empty() && (bracketed || !absl::StrContains(host, ':'))) {
      address.host = std::string(host);
      address.port = port;
      return address;
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text,
                   "\" is not an address of the form host:port, such as "
                   "127.0.0.1:50151 or [::1]:50151"));
}

bool IsLoopback(const ListenAddress& address) {
  const absl::StatusOr<AddrInfoList> list = Resolve(address);
  if (!list.ok()) return false;
  for (const addrinfo* entry = list->get(); entry != nullptr;
       entry = entry->ai_next) {
    if (!IsLoopbackSocket(entry->ai_addr)) return false;
  }
  return true;
}

absl::Status CheckCanBind(const ListenAddress& address) {
  ASSIGN_OR_RETURN(const AddrInfoList list, Resolve(address));
  const addrinfo* entry = list.get();
  const int fd =
      ::socket(entry->ai_family, entry->ai_socktype | SOCK_CLOEXEC, 0);
  if (fd < 0) return BindError(errno, address);
  // As gRPC does: connections of an earlier server that still linger are no
  // reason to refuse.
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  int error = 0;
  if (::bind(fd, entry->ai_addr, entry->ai_addrlen) != 0 ||
      ::listen(fd, 1) != 0) {
    error = errno;
  }
  ::close(fd);
  return error == 0 ? absl::OkStatus() : BindError(error, address);
}

std::string LocalTarget(const ListenAddress& address, int port) {
  ListenAddress target = address;
  target.port = port;
  if (target.host == "0.0.0.0") target.host = "127.0.0.1";
  if (target.host == "::") target.host = "::1";
  return target.ToString();
}

void Knock(const std::string& target) {
  const absl::StatusOr<ListenAddress> address = ParseListenAddress(target);
  if (!address.ok()) return;
  const absl::StatusOr<AddrInfoList> list = Resolve(*address);
  if (!list.ok()) return;
  const addrinfo* entry = list->get();
  const int fd = ::socket(entry->ai_family,
                          entry->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return;
  [[maybe_unused]] const int refused =
      ::connect(fd, entry->ai_addr, entry->ai_addrlen);
  ::close(fd);
}

}  // namespace quantd
