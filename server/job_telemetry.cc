#include "server/job_telemetry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/timestamp.pb.h"
#include "google/protobuf/util/time_util.h"
#include "jobs/phase_times.h"
#include "quantizers/recipe.h"
#include "server/metrics_page.h"

namespace quantd {
namespace {

using google::protobuf::util::TimeUtil;

bool IsTerminal(v1::JobState state) {
  return state == v1::SUCCEEDED || state == v1::FAILED ||
         state == v1::CANCELLED;
}

// 0 when one of the two has not happened.
double SecondsBetween(const google::protobuf::Timestamp& start,
                      const google::protobuf::Timestamp& end) {
  if (start.seconds() == 0 || end.seconds() == 0) return 0;
  constexpr double kNanosPerSecond = 1e9;
  return std::max(
      0.0, static_cast<double>(TimeUtil::DurationToNanoseconds(end - start)) /
               kNanosPerSecond);
}

std::string StateLabel(v1::JobState state) {
  return absl::AsciiStrToLower(v1::JobState_Name(state));
}

// The reasons are constants of the job manager. Should one ever carry text of
// its own, it must not become a time series.
std::string ReasonLabel(absl::string_view reason) {
  constexpr size_t kMaxLength = 40;
  const bool is_word =
      !reason.empty() && reason.size() <= kMaxLength &&
      std::all_of(reason.begin(), reason.end(), [](char c) {
        return absl::ascii_isupper(static_cast<unsigned char>(c)) || c == '_';
      });
  return is_word ? absl::AsciiStrToLower(reason) : "other";
}

std::string InputOf(const v1::JobSpec& spec) {
  if (spec.has_quantize()) return spec.quantize().model();
  if (spec.has_evaluate()) return spec.evaluate().target();
  return "";
}

std::string MethodOf(const v1::JobSpec& spec) {
  if (!spec.has_quantize()) return "";
  if (spec.quantize().has_recipe()) return spec.quantize().recipe().name();
  return spec.quantize().method();
}

// A scalar of the result, 0 when it is absent.
double ResultMetric(const v1::Job& job, const std::string& name) {
  const auto& metrics = job.result().metrics();
  const auto row = metrics.find(name);
  return row == metrics.end() ? 0.0 : std::max(0.0, row->second);
}

// Powers of four from 1 MiB to 1 TiB.
prometheus::Histogram::BucketBoundaries MemoryBuckets() {
  prometheus::Histogram::BucketBoundaries bounds;
  for (int exponent = 20; exponent <= 40; exponent += 2) {
    bounds.push_back(static_cast<double>(uint64_t{1} << exponent));
  }
  return bounds;
}

prometheus::Family<prometheus::Counter>& CounterFamily(
    prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

prometheus::Family<prometheus::Histogram>& HistogramFamily(
    prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
}

}  // namespace

std::string KindLabel(const v1::JobSpec& spec) {
  if (spec.kind_case() == v1::JobSpec::KIND_NOT_SET) return "none";
  return v1::JobSpec::descriptor()
      ->FindFieldByNumber(static_cast<int>(spec.kind_case()))
      ->name();
}

std::string MethodFamilyLabel(const v1::JobSpec& spec) {
  const std::string method = MethodOf(spec);
  if (!spec.has_quantize()) return "none";
  for (const v1::Recipe& recipe : BuiltinRecipes()) {
    if (recipe.name() == method) return method;
  }
  return "custom";
}

JobTelemetry::JobTelemetry(prometheus::Registry* registry, JsonLog* log,
                           std::string executor)
    : log_(log),
      executor_(std::move(executor)),
      submitted_(CounterFamily(*registry, "quantd_jobs_submitted_total",
                               "Jobs made by CreateJob.")),
      deduplicated_(
          CounterFamily(*registry, "quantd_jobs_deduplicated_total",
                        "Retried CreateJob calls that found their job.")),
      finished_(CounterFamily(*registry, "quantd_jobs_finished_total",
                              "Jobs that reached a terminal state.")),
      queue_seconds_(
          HistogramFamily(*registry, "quantd_job_queue_seconds",
                          "Time from submission to the first attempt.")),
      run_seconds_(HistogramFamily(
          *registry, "quantd_job_run_seconds",
          "Time from the start of the last attempt to the end of the job.")),
      phase_seconds_(HistogramFamily(
          *registry, "quantd_job_phase_seconds",
          "Time that the last attempt of a job that succeeded spent in each "
          "phase.")),
      peak_memory_bytes_(
          HistogramFamily(*registry, "quantd_job_peak_memory_bytes",
                          "Peak resident memory of the worker.")),
      compressed_weights_(
          CounterFamily(*registry, "quantd_compressed_weights_total",
                        "Weights compressed by jobs that succeeded.")),
      damping_retries_(
          CounterFamily(*registry, "quantd_damping_retries_total",
                        "Layers solved again with stronger damping.")),
      resumed_blocks_(
          CounterFamily(*registry, "quantd_resumed_blocks_total",
                        "Blocks taken over from an earlier attempt.")),
      attempts_started_(CounterFamily(*registry,
                                      "quantd_attempts_started_total",
                                      "Attempts given to the executor.")
                            .Add({{"executor", executor_}})),
      attempts_lost_(
          CounterFamily(*registry, "quantd_attempts_lost_total",
                        "Attempts whose worker ended without a report.")
              .Add({{"executor", executor_}})),
      attempts_fenced_(
          CounterFamily(*registry, "quantd_attempts_fenced_total",
                        "Reports refused because the attempt was over.")
              .Add({{"executor", executor_}})) {}

void JobTelemetry::OnSubmitted(const v1::Job& job, bool deduplicated) {
  (deduplicated ? deduplicated_ : submitted_)
      .Add({{"kind", KindLabel(job.spec())},
            {"method_family", MethodFamilyLabel(job.spec())}})
      .Increment();
  if (deduplicated) return;
  log_->Info("job_transition", "job submitted",
             {{"job", job.name()},
              {"kind", KindLabel(job.spec())},
              {"model", InputOf(job.spec())},
              {"method", MethodOf(job.spec())},
              {"to", StateLabel(job.state())}});
}

void JobTelemetry::OnStateChange(const v1::Job& job, v1::JobState from,
                                 absl::string_view reason) {
  if (job.state() == v1::RUNNING) CountStart(job);
  if (IsTerminal(job.state())) CountEnd(job, reason);
  log_->Info("job_transition", absl::StrCat("job ", StateLabel(job.state())),
             {{"job", job.name()},
              {"kind", KindLabel(job.spec())},
              {"model", InputOf(job.spec())},
              {"method", MethodOf(job.spec())},
              {"from", StateLabel(from)},
              {"to", StateLabel(job.state())},
              {"reason", reason},
              {"attempt", job.attempt()},
              {"error", job.error().message()}});
}

void JobTelemetry::CountStart(const v1::Job& job) {
  attempts_started_.Increment();
  if (job.attempt() != 1) return;
  queue_seconds_
      .Add({{"kind", KindLabel(job.spec())},
            {"method_family", MethodFamilyLabel(job.spec())},
            {"executor", executor_}},
           JobBuckets())
      .Observe(SecondsBetween(job.create_time(), job.start_time()));
}

void JobTelemetry::CountEnd(const v1::Job& job, absl::string_view reason) {
  finished_
      .Add({{"kind", KindLabel(job.spec())},
            {"state", StateLabel(job.state())},
            {"reason", ReasonLabel(reason)}})
      .Increment();
  if (job.attempt() > 0) {
    run_seconds_
        .Add({{"kind", KindLabel(job.spec())},
              {"method_family", MethodFamilyLabel(job.spec())},
              {"executor", executor_}},
             JobBuckets())
        .Observe(SecondsBetween(job.start_time(), job.end_time()));
  }
  if (job.state() == v1::SUCCEEDED) CountResult(job);
}

void JobTelemetry::CountResult(const v1::Job& job) {
  const prometheus::Labels labels = {
      {"kind", KindLabel(job.spec())},
      {"method_family", MethodFamilyLabel(job.spec())}};
  peak_memory_bytes_.Add(labels, MemoryBuckets())
      .Observe(static_cast<double>(job.result().peak_memory_bytes()));
  for (absl::string_view phase : kPhases) {
    const std::string key = absl::StrCat(kPhaseSecondsPrefix, phase);
    if (!job.result().metrics().contains(key)) continue;
    phase_seconds_
        .Add({{"kind", KindLabel(job.spec())}, {"phase", std::string(phase)}},
             JobBuckets())
        .Observe(ResultMetric(job, key));
  }
  if (!job.spec().has_quantize()) return;
  compressed_weights_.Add(labels).Increment(
      ResultMetric(job, "compressed_weights"));
  damping_retries_.Add(labels).Increment(ResultMetric(job, "damping_retries"));
  resumed_blocks_.Add(labels).Increment(job.result().resumed_blocks());
}

void JobTelemetry::OnAttemptLost(const v1::Job& job, absl::string_view why) {
  attempts_lost_.Increment();
  log_->Warning(
      "attempt_lost", "the worker ended without a report",
      {{"job", job.name()}, {"attempt", job.attempt()}, {"why", why}});
}

void JobTelemetry::OnReportRefused(absl::string_view job, uint32_t attempt) {
  attempts_fenced_.Increment();
  log_->Warning("attempt_fenced", "a report of an attempt that is over",
                {{"job", job}, {"attempt", attempt}});
}

}  // namespace quantd
