// The Prometheus page: one registry, and gauges that are read when the page
// is.
//
//   MetricsPage page;
//   auto& queued =
//   prometheus::BuildGauge()...Register(page.registry()).Add({});
//   page.AddRefresh([&] { queued.Set(jobs->counts().queued); });
//   page.Text();
//
// Label values come from closed sets only: never a job, model, path or
// message. Thread-safe.
#ifndef QUANTD_SERVER_METRICS_PAGE_H_
#define QUANTD_SERVER_METRICS_PAGE_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"

namespace quantd {

class MetricsPage {
 public:
  prometheus::Registry& registry() { return registry_; }

  // Called before every reading of the page, one reading at a time.
  void AddRefresh(std::function<void()> refresh) ABSL_LOCKS_EXCLUDED(mutex_);

  // The page, in the text format 0.0.4.
  std::string Text() const ABSL_LOCKS_EXCLUDED(mutex_);

  static constexpr char kContentType[] =
      "text/plain; version=0.0.4; charset=utf-8";

 private:
  prometheus::Registry registry_;
  // Held while refreshing: gauges of one reading belong together.
  mutable absl::Mutex mutex_;
  std::vector<std::function<void()>> refreshes_ ABSL_GUARDED_BY(mutex_);
};

// Upper bounds in seconds, by what is measured.
prometheus::Histogram::BucketBoundaries RpcBuckets();
prometheus::Histogram::BucketBoundaries StoreBuckets();
prometheus::Histogram::BucketBoundaries JobBuckets();

}  // namespace quantd

#endif  // QUANTD_SERVER_METRICS_PAGE_H_
