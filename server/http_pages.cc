#include "server/http_pages.h"

#include <civetweb.h>

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "server/listen_address.h"

namespace quantd {
namespace {

// A scraper and two probes at once.
constexpr char kThreads[] = "3";

constexpr int kNotFound = 404;
constexpr int kMethodNotAllowed = 405;

int Send(mg_connection* connection, const HttpReply& reply,
         absl::string_view method) {
  const std::string head =
      absl::StrCat("HTTP/1.1 ", reply.code, " ",
                   ::mg_get_response_code_text(connection, reply.code),
                   "\r\nContent-Type: ", reply.content_type,
                   "\r\nContent-Length: ", reply.body.size(),
                   "\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n");
  // Whoever asked may have gone; there is nobody to tell.
  ::mg_write(connection, head.data(), head.size());
  if (method != "HEAD") {
    ::mg_write(connection, reply.body.data(), reply.body.size());
  }
  return reply.code;
}

}  // namespace

HttpPages::~HttpPages() { Stop(); }

void HttpPages::Add(std::string path, Page page) {
  pages_[std::move(path)] = std::move(page);
}

int HttpPages::OnRequest(mg_connection* connection, void* pages) {
  const mg_request_info* request = ::mg_get_request_info(connection);
  const absl::string_view method = request->request_method;
  if (method != "GET" && method != "HEAD") {
    return Send(connection, {.code = kMethodNotAllowed, .body = "GET only\n"},
                method);
  }
  const auto& known = static_cast<const HttpPages*>(pages)->pages_;
  const auto page = known.find(request->local_uri);
  if (page == known.end()) {
    return Send(connection, {.code = kNotFound, .body = "no such page\n"},
                method);
  }
  return Send(connection, page->second(), method);
}

absl::StatusOr<int> HttpPages::Serve(const std::string& address) {
  ASSIGN_OR_RETURN(const ListenAddress listen, ParseListenAddress(address));
  const char* options[] = {"listening_ports", address.c_str(), "num_threads",
                           kThreads, nullptr};
  const mg_callbacks callbacks = {};
  server_ = ::mg_start(&callbacks, nullptr, options);
  mg_server_port port = {};
  if (server_ == nullptr || ::mg_get_server_ports(server_, 1, &port) != 1) {
    Stop();
    return absl::UnavailableError(absl::StrCat(
        "metrics address ", address, ": cannot listen, is it taken?"));
  }
  local_target_ = LocalTarget(listen, port.port);
  // Everything comes here, also what is no page.
  ::mg_set_request_handler(server_, "/**", &HttpPages::OnRequest, this);
  return port.port;
}

void HttpPages::Stop() {
  if (server_ == nullptr) return;
  // The library's listener looks whether it should stop every two seconds, or
  // when somebody connects.
  constexpr absl::Duration kInterval = absl::Milliseconds(10);
  absl::Notification stopped;
  std::thread stopper([&] {
    ::mg_stop(server_);
    stopped.Notify();
  });
  do {
    if (!local_target_.empty()) Knock(local_target_);
  } while (!stopped.WaitForNotificationWithTimeout(kInterval));
  stopper.join();
  server_ = nullptr;
}

}  // namespace quantd
