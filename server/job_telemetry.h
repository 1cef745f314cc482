// Turns what happens to jobs into metrics and log lines: one INFO line per
// transition, keyed by job, model and method.
//
// Thread-safe.
#ifndef QUANTD_SERVER_JOB_TELEMETRY_H_
#define QUANTD_SERVER_JOB_TELEMETRY_H_

#include <string>

#include "jobs/job_manager.h"
#include "prometheus/counter.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "server/json_log.h"

namespace quantd {

class JobTelemetry final : public JobObserver {
 public:
  // `executor` is a label of the attempts' metrics. Registry and log must
  // outlive the object.
  JobTelemetry(prometheus::Registry* registry, JsonLog* log,
               std::string executor);

  void OnSubmitted(const v1::Job& job, bool deduplicated) override;
  void OnStateChange(const v1::Job& job, v1::JobState from,
                     absl::string_view reason) override;
  void OnAttemptLost(const v1::Job& job, absl::string_view why) override;
  void OnReportRefused(absl::string_view job, uint32_t attempt) override;

 private:
  void CountStart(const v1::Job& job);
  void CountEnd(const v1::Job& job, absl::string_view reason);
  void CountResult(const v1::Job& job);

  JsonLog* const log_;
  const std::string executor_;

  prometheus::Family<prometheus::Counter>& submitted_;
  prometheus::Family<prometheus::Counter>& deduplicated_;
  prometheus::Family<prometheus::Counter>& finished_;
  prometheus::Family<prometheus::Histogram>& queue_seconds_;
  prometheus::Family<prometheus::Histogram>& run_seconds_;
  prometheus::Family<prometheus::Histogram>& phase_seconds_;
  prometheus::Family<prometheus::Histogram>& peak_memory_bytes_;
  prometheus::Family<prometheus::Counter>& compressed_weights_;
  prometheus::Family<prometheus::Counter>& damping_retries_;
  prometheus::Family<prometheus::Counter>& resumed_blocks_;
  prometheus::Counter& attempts_started_;
  prometheus::Counter& attempts_lost_;
  prometheus::Counter& attempts_fenced_;
};

// Label values: "quantize", "evaluate", ... ("none" without a kind), and the
// name of the built-in recipe, "custom" for another one, "none" for a job
// without recipe.
std::string KindLabel(const v1::JobSpec& spec);
std::string MethodFamilyLabel(const v1::JobSpec& spec);

}  // namespace quantd

#endif  // QUANTD_SERVER_JOB_TELEMETRY_H_
