#include "server/server_gauges.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/file.h"

namespace quantd {
namespace {

prometheus::Gauge& AddGauge(prometheus::Registry& registry, const char* name,
                            const char* help,
                            const prometheus::Labels& labels = {}) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add(
      labels);
}

prometheus::Family<prometheus::Gauge>& GaugeFamily(
    prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}

constexpr char kJobs[] = "quantd_jobs";
constexpr char kJobsHelp[] = "Jobs that have not ended, by state.";

double Seconds(const timeval& time) {
  constexpr double kMicrosPerSecond = 1e6;
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_usec) / kMicrosPerSecond;
}

}  // namespace

ServerGauges::ServerGauges(prometheus::Registry* registry,
                           const ServiceContext* context,
                           std::function<int()> watchers)
    : context_(*context),
      watchers_count_(std::move(watchers)),
      jobs_queued_(
          AddGauge(*registry, kJobs, kJobsHelp, {{"state", "queued"}})),
      jobs_running_(
          AddGauge(*registry, kJobs, kJobsHelp, {{"state", "running"}})),
      queue_depth_(AddGauge(*registry, "quantd_queue_depth",
                            "Jobs that wait for a slot or a dependency.")),
      queue_oldest_seconds_(
          AddGauge(*registry, "quantd_queue_oldest_seconds",
                   "Age of the oldest job that only waits for a slot.")),
      watchers_(
          AddGauge(*registry, "quantd_watchers", "Open WatchJob streams.")),
      training_step_(GaugeFamily(
          *registry, "quantd_training_step",
          "Latest step of gradient descent of a running job, from 1.")),
      training_loss_(GaugeFamily(*registry, "quantd_training_loss",
                                 "Loss of the latest step of a running job.")),
      training_learning_rate_(
          GaugeFamily(*registry, "quantd_training_learning_rate",
                      "Learning rate of the latest step of a running job.")),
      training_eta_seconds_(GaugeFamily(
          *registry, "quantd_training_eta_seconds",
          "Time until a running job ends, by its pace so far; 0 as long as "
          "that is unknown.")),
      store_size_bytes_(AddGauge(*registry, "quantd_store_size_bytes",
                                 "Size of the metadata store on disk.")),
      store_read_only_(
          AddGauge(*registry, "quantd_store_read_only",
                   "1 when the metadata store refuses writes, else 0.")),
      store_last_sequence_(AddGauge(*registry, "quantd_store_last_sequence",
                                    "Sequence of the latest event.")),
      artifact_bytes_(AddGauge(*registry, "quantd_artifact_bytes",
                               "Size of all stored blobs.")),
      artifact_count_(
          AddGauge(*registry, "quantd_artifact_count", "Stored blobs.")),
      disk_free_bytes_(AddGauge(*registry, "quantd_disk_free_bytes",
                                "Free space of the data directory's disk.",
                                {{"mount", "data"}})),
      resident_memory_bytes_(AddGauge(*registry,
                                      "process_resident_memory_bytes",
                                      "Resident memory of the server.")),
      open_fds_(AddGauge(*registry, "process_open_fds",
                         "Open file descriptors of the server.")),
      cpu_seconds_(prometheus::BuildCounter()
                       .Name("process_cpu_seconds_total")
                       .Help("User and system time of the server.")
                       .Register(*registry)
                       .Add({})) {
  AddGauge(*registry, "process_start_time_seconds",
           "When the server started, in seconds since the epoch.")
      .Set(absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
}

void ServerGauges::Refresh() {
  RefreshJobs();
  RefreshStores();
  RefreshProcess();
}

void ServerGauges::RefreshJobs() {
  watchers_.Set(watchers_count_());
  const JobManager* jobs = context_.jobs();
  if (jobs == nullptr) return;
  const JobManager::Counts counts = jobs->counts();
  jobs_queued_.Set(counts.queued);
  jobs_running_.Set(counts.running);
  queue_depth_.Set(counts.queued);
  queue_oldest_seconds_.Set(absl::ToDoubleSeconds(counts.oldest_queued));
  RefreshTraining(*jobs);
}

void ServerGauges::RefreshTraining(const JobManager& jobs) {
  std::map<std::string, TrainingGauges> ended = std::move(training_);
  training_.clear();
  for (const auto& [job, progress] : jobs.training()) {
    TrainingGauges gauges;
    if (const auto known = ended.find(job); known != ended.end()) {
      gauges = known->second;
      ended.erase(known);
    } else {
      const prometheus::Labels labels = {{"job", job}};
      gauges = {&training_step_.Add(labels), &training_loss_.Add(labels),
                &training_learning_rate_.Add(labels),
                &training_eta_seconds_.Add(labels)};
    }
    gauges.step->Set(static_cast<double>(progress.training().step()));
    gauges.loss->Set(progress.training().loss());
    gauges.learning_rate->Set(progress.training().learning_rate());
    gauges.eta_seconds->Set(progress.eta_seconds());
    training_.emplace(job, gauges);
  }
  // Labels of jobs would pile up.
  for (const auto& [job, gauges] : ended) {
    training_step_.Remove(gauges.step);
    training_loss_.Remove(gauges.loss);
    training_learning_rate_.Remove(gauges.learning_rate);
    training_eta_seconds_.Remove(gauges.eta_seconds);
  }
}

void ServerGauges::RefreshStores() {
  store_size_bytes_.Set(static_cast<double>(context_.store->size_bytes()));
  store_read_only_.Set(context_.store->health().ok() ? 0 : 1);
  store_last_sequence_.Set(
      static_cast<double>(context_.store->last_sequence()));
  const absl::StatusOr<std::vector<std::string>> blobs =
      context_.artifacts->List();
  if (blobs.ok()) {
    uint64_t bytes = 0;
    for (const std::string& digest : *blobs) {
      // 0 for one that was deleted meanwhile.
      bytes += context_.artifacts->SizeOf(digest).value_or(0);
    }
    artifact_bytes_.Set(static_cast<double>(bytes));
    artifact_count_.Set(static_cast<double>(blobs->size()));
  }
  const absl::StatusOr<uint64_t> free_bytes =
      FreeDiskBytes(context_.data_directory);
  if (free_bytes.ok()) disk_free_bytes_.Set(static_cast<double>(*free_bytes));
}

void ServerGauges::RefreshProcess() {
  struct rusage usage;
  if (::getrusage(RUSAGE_SELF, &usage) == 0) {
    const double total = Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
    const double more = total - cpu_seconds_.Value();
    if (more > 0) cpu_seconds_.Increment(more);
  }
  std::ifstream statm("/proc/self/statm");
  uint64_t total_pages = 0;
  uint64_t resident_pages = 0;
  if (statm >> total_pages >> resident_pages) {
    resident_memory_bytes_.Set(static_cast<double>(resident_pages) *
                               static_cast<double>(::sysconf(_SC_PAGESIZE)));
  }
  std::error_code error;
  double open = 0;
  std::filesystem::directory_iterator entry("/proc/self/fd", error);
  for (; !error && entry != std::filesystem::directory_iterator();
       entry.increment(error)) {
    ++open;
  }
  open_fds_.Set(open);
}

}  // namespace quantd
