// A small HTTP server of pages for other programs: metrics, health. A page is
// made at the moment it is asked for.
//
//   HttpPages pages;
//   pages.Add("/livez", [] { return HttpReply{.body = "ok\n"}; });
//   ASSIGN_OR_RETURN(int port, pages.Serve("127.0.0.1:9464"));
//
// GET and HEAD only; what is no page is answered 404. Pages are made on the
// server's own threads, several at once. Thread-compatible; Add() comes before
// Serve().
#ifndef QUANTD_SERVER_HTTP_PAGES_H_
#define QUANTD_SERVER_HTTP_PAGES_H_

#include <functional>
#include <map>
#include <string>

#include "absl/status/statusor.h"

struct mg_connection;
struct mg_context;

namespace quantd {

struct HttpReply {
  int code = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

class HttpPages {
 public:
  using Page = std::function<HttpReply()>;

  HttpPages() = default;
  ~HttpPages();
  HttpPages(const HttpPages&) = delete;
  HttpPages& operator=(const HttpPages&) = delete;

  // `path` is all of it: "/metrics".
  void Add(std::string path, Page page);

  // Serves http://<address> ("127.0.0.1:0" = any port) and returns the port.
  // Unavailable names the address when it is taken.
  absl::StatusOr<int> Serve(const std::string& address);

  // No page is being made afterwards.
  void Stop();

 private:
  static int OnRequest(mg_connection* connection, void* pages);

  std::map<std::string, Page> pages_;
  mg_context* server_ = nullptr;
  std::string local_target_;  // of the server
};

}  // namespace quantd

#endif  // QUANTD_SERVER_HTTP_PAGES_H_
