#include "server/metrics_page.h"

#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "prometheus/text_serializer.h"
#include "server/listen_address.h"

namespace quantd {

class MetricsPage::Content final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    {
      absl::MutexLock lock(&mutex_);
      for (const std::function<void()>& refresh : refreshes_) refresh();
    }
    return registry_.Collect();
  }

  void AddRefresh(std::function<void()> refresh) {
    absl::MutexLock lock(&mutex_);
    refreshes_.push_back(std::move(refresh));
  }

  prometheus::Registry& registry() { return registry_; }

 private:
  prometheus::Registry registry_;
  // Held while refreshing: gauges of one reading belong together.
  mutable absl::Mutex mutex_;
  std::vector<std::function<void()>> refreshes_ ABSL_GUARDED_BY(mutex_);
};

MetricsPage::MetricsPage() : content_(std::make_shared<Content>()) {}
MetricsPage::~MetricsPage() { Stop(); }

prometheus::Registry& MetricsPage::registry() { return content_->registry(); }

void MetricsPage::AddRefresh(std::function<void()> refresh) {
  content_->AddRefresh(std::move(refresh));
}

absl::StatusOr<int> MetricsPage::Serve(const std::string& address) {
  ASSIGN_OR_RETURN(const ListenAddress listen, ParseListenAddress(address));
  try {
    exposer_ = std::make_unique<prometheus::Exposer>(address);
    exposer_->RegisterCollectable(content_);
    const std::vector<int> ports = exposer_->GetListeningPorts();
    if (ports.empty()) {
      return absl::UnavailableError(
          absl::StrCat("metrics address ", address, ": not listening"));
    }
    local_target_ = LocalTarget(listen, ports.front());
    return ports.front();
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("metrics address ", address,
                     ": cannot listen, is it taken? (", error.what(), ")"));
  }
}

void MetricsPage::Stop() {
  if (exposer_ == nullptr) return;
  // The listener of the HTTP library looks whether it should stop every two
  // seconds, or when somebody connects.
  constexpr absl::Duration kInterval = absl::Milliseconds(10);
  absl::Notification stopped;
  std::thread stopper([&] {
    exposer_.reset();
    stopped.Notify();
  });
  do {
    Knock(local_target_);
  } while (!stopped.WaitForNotificationWithTimeout(kInterval));
  stopper.join();
}

std::string MetricsPage::Text() const {
  return prometheus::TextSerializer().Serialize(content_->Collect());
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
