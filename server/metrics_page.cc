#include "server/metrics_page.h"

#include <utility>

#include "prometheus/text_serializer.h"

namespace quantd {

void MetricsPage::AddRefresh(std::function<void()> refresh) {
  absl::MutexLock lock(&mutex_);
  refreshes_.push_back(std::move(refresh));
}

std::string MetricsPage::Text() const {
  {
    absl::MutexLock lock(&mutex_);
    for (const std::function<void()>& refresh : refreshes_) refresh();
  }
  return prometheus::TextSerializer().Serialize(registry_.Collect());
}

prometheus::Histogram::BucketBoundaries RpcBuckets() {
  return {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
          0.1,    0.25,  0.5,    1,     2.5,  5,     10};
}

prometheus::Histogram::BucketBoundaries StoreBuckets() {
  return {0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032,
          0.064,   0.128,  0.256, 0.512, 1.024, 2.048, 4.096, 8.192};
}

prometheus::Histogram::BucketBoundaries JobBuckets() {
  return {0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 43200, 86400};
}

}  // namespace quantd
