// The Prometheus page: one registry, gauges that are read when the page is,
// and an HTTP server for /metrics.
//
//   MetricsPage page;
//   auto& queued =
//   prometheus::BuildGauge()...Register(page.registry()).Add({});
//   page.AddRefresh([&] { queued.Set(jobs->counts().queued); });
//   ASSIGN_OR_RETURN(int port, page.Serve("127.0.0.1:9464"));
//
// Label values come from closed sets only: never a job, model, path or
// message. Thread-safe; AddRefresh() comes before Serve().
#ifndef QUANTD_SERVER_METRICS_PAGE_H_
#define QUANTD_SERVER_METRICS_PAGE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "prometheus/exposer.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"

namespace quantd {

class MetricsPage {
 public:
  MetricsPage();
  ~MetricsPage();

  prometheus::Registry& registry();

  // Called before every reading of the page, one reading at a time.
  void AddRefresh(std::function<void()> refresh);

  // Serves http://<address>/metrics ("127.0.0.1:0" = any port) and returns
  // the port. Unavailable names the address when it is taken.
  absl::StatusOr<int> Serve(const std::string& address);

  // Ends the HTTP server; no refresh is called afterwards.
  void Stop();

  // The page as text.
  std::string Text() const;

 private:
  class Content;
  const std::shared_ptr<Content> content_;
  std::unique_ptr<prometheus::Exposer> exposer_;
  std::string local_target_;  // of the exposer
};

// Upper bounds in seconds, by what is measured.
prometheus::Histogram::BucketBoundaries RpcBuckets();
prometheus::Histogram::BucketBoundaries StoreBuckets();
prometheus::Histogram::BucketBoundaries JobBuckets();

}  // namespace quantd

#endif  // QUANTD_SERVER_METRICS_PAGE_H_
