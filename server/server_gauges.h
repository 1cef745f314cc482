// What is read at the moment the metrics page is: queue, stores, disk, process.
//
// Thread-compatible; called with one reading of the page at a time.
#ifndef QUANTD_SERVER_SERVER_GAUGES_H_
#define QUANTD_SERVER_SERVER_GAUGES_H_

#include <functional>
#include <map>
#include <string>

#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/registry.h"
#include "server/service_context.h"

namespace quantd {

class ServerGauges {
 public:
  // Everything must outlive the object. `watchers` counts open streams.
  ServerGauges(prometheus::Registry* registry, const ServiceContext* context,
               std::function<int()> watchers);

  void Refresh();

 private:
  void RefreshJobs();
  void RefreshTraining(const JobManager& jobs);
  void RefreshStores();
  void RefreshProcess();

  // The latest step of a job; there as long as it descends.
  struct TrainingGauges {
    prometheus::Gauge* step;
    prometheus::Gauge* loss;
    prometheus::Gauge* learning_rate;
    prometheus::Gauge* eta_seconds;
  };

  const ServiceContext& context_;
  const std::function<int()> watchers_count_;

  prometheus::Gauge& jobs_queued_;
  prometheus::Gauge& jobs_running_;
  prometheus::Gauge& queue_depth_;
  prometheus::Gauge& queue_oldest_seconds_;
  prometheus::Gauge& watchers_;
  prometheus::Family<prometheus::Gauge>& training_step_;
  prometheus::Family<prometheus::Gauge>& training_loss_;
  prometheus::Family<prometheus::Gauge>& training_learning_rate_;
  prometheus::Family<prometheus::Gauge>& training_eta_seconds_;
  std::map<std::string, TrainingGauges> training_;  // by job
  prometheus::Gauge& store_size_bytes_;
  prometheus::Gauge& store_read_only_;
  prometheus::Gauge& store_last_sequence_;
  prometheus::Gauge& artifact_bytes_;
  prometheus::Gauge& artifact_count_;
  prometheus::Gauge& disk_free_bytes_;
  prometheus::Gauge& resident_memory_bytes_;
  prometheus::Gauge& open_fds_;
  prometheus::Counter& cpu_seconds_;
};

}  // namespace quantd

#endif  // QUANTD_SERVER_SERVER_GAUGES_H_
