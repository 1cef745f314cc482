// The quantd server: the stores, the job manager, the gRPC services, health,
// reflection and the metrics page, put together and taken apart in order.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<QuantdServer> server,
//                    QuantdServer::BuildAndStart(options, &log));
//   ... server->port() ...
//   server->Shutdown(absl::Seconds(10));
//
// Thread-safe: port(), metrics_port(), health(). Shutdown() is called once.
#ifndef QUANTD_SERVER_QUANTD_SERVER_H_
#define QUANTD_SERVER_QUANTD_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/json_log.h"
#include "server/server_options.h"

namespace quantd {

class JobManager;
class MetadataStore;

class QuantdServer {
 public:
  // Serving when it returns OK. Errors name the culprit: an address that is
  // in use (Unavailable) or not loopback (InvalidArgument), a data directory
  // that another server holds (FailedPrecondition), that cannot be written
  // (PermissionDenied), whose disk is full (ResourceExhausted), or whose
  // content is damaged (DataLoss). `log` must outlive the server.
  static absl::StatusOr<std::unique_ptr<QuantdServer>> BuildAndStart(
      ServerOptions options, JsonLog* log);

  // Shutdown(0) if it was not called.
  ~QuantdServer();
  QuantdServer(const QuantdServer&) = delete;
  QuantdServer& operator=(const QuantdServer&) = delete;

  int port() const;
  // 0 when the page is not served.
  int metrics_port() const;

  // OK, or why the server is NOT_SERVING.
  absl::Status health() const;

  // Health turns NOT_SERVING, new jobs are refused, running ones get at most
  // `grace` and are requeued otherwise; streams end with Unavailable; then
  // everything stops.
  void Shutdown(absl::Duration grace);

 private:
  class Impl;
  explicit QuantdServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace quantd

#endif  // QUANTD_SERVER_QUANTD_SERVER_H_
