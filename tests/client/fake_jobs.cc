#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "client/client.h"
#include "proto/field_rules.h"
#include "tests/client/fake_answers.h"
#include "tests/client/fake_quantd.h"

namespace quantd::test {
namespace {

using ::grpc::ServerContext;
using ::grpc::Status;
using ::grpc::StatusCode;

v1::PerplexityTag Tag(const std::string& convention) {
  v1::PerplexityTag tag;
  tag.set_convention(convention);
  tag.set_window_tokens(512);
  tag.set_text_digest(std::string(64, 'a'));
  tag.set_token_count(397372);
  tag.set_bos_policy("none");
  tag.set_tokenizer_digest(std::string(64, 'b'));
  return tag;
}

}  // namespace

class FakeQuantd::Jobs : public v1::JobService::Service {
 public:
  explicit Jobs(FakeQuantd* fake) : fake_(*fake) {}

  Status CreateJob(ServerContext*, const v1::CreateJobRequest* request,
                   v1::Job* job) override {
    if (Status s = fake_.Enter("CreateJob"); !s.ok()) return s;
    if (const auto s = Validate(*request); !s.ok()) return Rich(s);
    absl::MutexLock lock(&fake_.mutex_);
    fake_.created_jobs_.push_back(*request);
    *job->mutable_spec() = request->spec();
    FillDefaults(job);
    job->mutable_forecast()->set_peak_memory_bytes(3 << 20);
    job->mutable_forecast()->set_memory_limit_bytes(8 << 20);
    job->mutable_forecast()->set_least_memory_bytes(2 << 20);
    job->mutable_forecast()->set_disk_bytes(1 << 20);
    job->mutable_forecast()->set_spilled_bytes(512 << 10);
    job->mutable_forecast()->set_seconds(42);
    job->mutable_forecast()->add_parts()->set_name("one block in float32");
    if (request->validate_only()) return Status::OK;
    if (request->request_id().empty()) {
      return Status(StatusCode::INVALID_ARGUMENT, "request_id expected");
    }
    std::string& known = fake_.requests_[request->request_id()];
    if (!known.empty()) {
      *job = fake_.jobs_[known].job;
      return Status::OK;
    }
    known = absl::StrCat("jobs/", fake_.jobs_.size() + 1);
    job->set_name(known);
    job->set_state(v1::QUEUED);
    StoredJob& stored = fake_.jobs_[known];
    stored.script = fake_.script_;
    stored.job = *job;
    fake_.job_order_.insert(fake_.job_order_.begin(), known);
    Play(&stored);
    return Status::OK;
  }

  Status GetJob(ServerContext*, const v1::GetJobRequest* request,
                v1::Job* job) override {
    if (Status s = fake_.Enter("GetJob"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    StoredJob stored;
    const Status status = Find(fake_.jobs_, request->name(), &stored);
    *job = stored.job;
    return status;
  }

  Status ListJobs(ServerContext*, const v1::ListJobsRequest* request,
                  v1::ListJobsResponse* response) override {
    if (Status s = fake_.Enter("ListJobs"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    std::vector<v1::Job> jobs;
    for (const std::string& name : fake_.job_order_) {
      const v1::Job& job = fake_.jobs_[name].job;
      const auto& states = request->states();
      if (states.empty() || std::find(states.begin(), states.end(),
                                      job.state()) != states.end()) {
        jobs.push_back(job);
      }
    }
    Page(
        jobs, request->page_token(),
        [&](const v1::Job& job) { *response->add_jobs() = job; },
        response->mutable_next_page_token());
    return Status::OK;
  }

  Status CancelJob(ServerContext*, const v1::CancelJobRequest* request,
                   v1::Job* job) override {
    if (Status s = fake_.Enter("CancelJob"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    const auto it = fake_.jobs_.find(request->name());
    if (it == fake_.jobs_.end()) return NotFound(request->name());
    if (!HasEnded(it->second.job)) {
      it->second.job.set_state(v1::CANCELLED);
    }
    *job = it->second.job;
    return Status::OK;
  }

  Status WatchJob(ServerContext* context, const v1::WatchJobRequest* request,
                  grpc::ServerWriter<v1::WatchJobResponse>* writer) override {
    if (Status s = fake_.Enter("WatchJob"); !s.ok()) return s;
    StoredJob stored;
    std::function<void()> on_watching;
    {
      absl::MutexLock lock(&fake_.mutex_);
      fake_.watch_tokens_.push_back(request->after_sequence());
      if (Status s = Find(fake_.jobs_, request->name(), &stored); !s.ok()) {
        return s;
      }
      if (stored.script.endless) on_watching.swap(fake_.on_watching_);
    }
    int sent = 0;
    for (const v1::WatchJobResponse& response : stored.responses) {
      if (response.has_event() &&
          response.event().sequence() <= request->after_sequence()) {
        continue;
      }
      if (sent == stored.script.break_after && sent > 0) {
        return Status(StatusCode::UNAVAILABLE, "restarting");
      }
      writer->Write(response);
      ++sent;
    }
    if (stored.script.endless) {
      if (on_watching) on_watching();
      while (!context->IsCancelled()) {
        absl::SleepFor(absl::Milliseconds(5));
      }
      return Status::CANCELLED;
    }
    return Status::OK;
  }

  Status ReadJobLog(ServerContext*, const v1::ReadJobLogRequest* request,
                    v1::ReadJobLogResponse* response) override {
    if (Status s = fake_.Enter("ReadJobLog"); !s.ok()) return s;
    constexpr absl::string_view kLog = "first line\nsecond line\n";
    absl::MutexLock lock(&fake_.mutex_);
    StoredJob stored;
    if (Status s = Find(fake_.jobs_, request->name(), &stored); !s.ok()) {
      return s;
    }
    // Eight bytes at a time, and one call that has nothing new yet.
    if (request->offset() == 8 && fake_.calls_["ReadJobLog"] == 2) {
      response->set_next_offset(8);
      response->set_attempt(1);
      return Status::OK;
    }
    const auto piece = kLog.substr(request->offset(), 8);
    response->set_data(std::string(piece));
    response->set_next_offset(request->offset() + piece.size());
    response->set_attempt(1);
    response->set_complete(response->next_offset() == kLog.size());
    return Status::OK;
  }

 private:
  // The whole life of the job at once: its events, its products.
  void Play(StoredJob* stored) ABSL_EXCLUSIVE_LOCKS_REQUIRED(fake_.mutex_) {
    v1::Job& job = stored->job;
    uint64_t sequence = 100;
    const auto respond = [&](v1::JobState from, v1::JobState to) {
      job.set_state(to);
      v1::WatchJobResponse response;
      v1::JobEvent* event = response.mutable_event();
      event->set_sequence(++sequence);
      event->set_job(job.name());
      event->set_attempt(job.attempt());
      event->mutable_state()->set_from(from);
      event->mutable_state()->set_to(to);
      *response.mutable_job() = job;
      stored->responses.push_back(response);
    };
    respond(v1::JOB_STATE_UNSPECIFIED, v1::QUEUED);
    job.set_attempt(1);
    respond(v1::QUEUED, v1::RUNNING);
    const int updates = stored->script.progress_updates;
    for (int i = 1; i <= updates; ++i) {
      job.mutable_progress()->set_phase("quantize");
      job.mutable_progress()->set_detail(absl::StrCat("blocks.", i));
      job.mutable_progress()->set_fraction(static_cast<double>(i) / updates);
      v1::WatchJobResponse response;
      *response.mutable_job() = job;
      stored->responses.push_back(response);
    }
    if (stored->script.endless) return;
    v1::JobState end = stored->script.end;
    std::string error = stored->script.error;
    const auto& settings = job.spec().quantize().set();
    if (!stored->script.only_set.empty() &&
        std::find(settings.begin(), settings.end(), stored->script.only_set) ==
            settings.end()) {
      end = v1::SUCCEEDED;
      error.clear();
    }
    const auto producer = fake_.jobs_.find(job.spec().evaluate().target());
    if (producer != fake_.jobs_.end() &&
        producer->second.job.state() != v1::SUCCEEDED) {
      end = v1::FAILED;
      job.set_state_reason("DEPENDENCY_FAILED");
    }
    if (end == v1::SUCCEEDED) Produce(&job);
    if (!error.empty()) {
      job.mutable_error()->set_code(3);
      job.mutable_error()->set_message(error);
    }
    respond(v1::RUNNING, end);
  }

  // Of "bits=3" among the settings; 3 without.
  static int BitsOf(const v1::QuantizeSpec& spec) {
    int bits = 3;
    for (absl::string_view assignment : spec.set()) {
      if (absl::ConsumePrefix(&assignment, "bits=")) {
        (void)absl::SimpleAtoi(assignment, &bits);
      }
    }
    return bits;
  }

  // The compression that is evaluated; of an artifact without a job, gptq.
  v1::QuantizeSpec SpecOf(const std::string& artifact)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(fake_.mutex_) {
    const auto job = fake_.jobs_.find(fake_.artifacts_[artifact].job());
    if (job != fake_.jobs_.end()) return job->second.job.spec().quantize();
    v1::QuantizeSpec spec;
    spec.set_method("gptq");
    return spec;
  }

  // How far that is from the original: 1 for gptq at 3 bits, 4 times as much a
  // bit less, twice as much for other methods.
  static double LossOf(const v1::QuantizeSpec& spec) {
    return std::pow(4.0, 3 - BitsOf(spec)) * (spec.method() == "gptq" ? 1 : 2);
  }

  void Produce(v1::Job* job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(fake_.mutex_) {
    v1::JobResult* result = job->mutable_result();
    result->set_wall_seconds(12.5);
    result->set_peak_memory_bytes(64 << 20);
    if (job->spec().has_quantize()) {
      v1::Artifact artifact;
      artifact.set_name("artifacts/" + job->spec().quantize().output_id());
      artifact.set_source(
          ResourceName("models", job->spec().quantize().model()));
      artifact.set_recipe(job->spec().quantize().method());
      const double bits = BitsOf(job->spec().quantize()) + 0.5;
      artifact.set_bits_per_weight(bits);
      artifact.set_size_bytes(static_cast<uint64_t>(bits * 200000));
      artifact.set_job(job->name());
      fake_.artifacts_[artifact.name()] = artifact;
      result->set_artifact(artifact.name());
      (*result->mutable_metrics())["bits_per_weight"] = 3.5;
      return;
    }
    v1::Evaluation evaluation;
    evaluation.set_name("evaluations/" + BareId(job->name()));
    evaluation.set_job(job->name());
    std::string target = job->spec().evaluate().target();
    if (const auto producer = fake_.jobs_.find(target);
        producer != fake_.jobs_.end()) {
      target = BareId(producer->second.job.result().artifact());
    }
    const bool artifact = fake_.artifacts_.count("artifacts/" + target) > 0;
    evaluation.set_target((artifact ? "artifacts/" : "models/") +
                          BareId(target));
    const v1::QuantizeSpec made =
        artifact ? SpecOf(evaluation.target()) : v1::QuantizeSpec();
    const double loss = artifact ? LossOf(made) : 0;
    evaluation.mutable_create_time()->set_seconds(
        1700000000 + static_cast<int64_t>(fake_.jobs_.size()));
    evaluation.set_wall_seconds(2.5);
    evaluation.set_peak_memory_bytes(1 << 20);
    evaluation.set_target_size_bytes(2000000);
    evaluation.set_bits_per_weight(artifact ? 3.5 : 0);
    for (std::string metric : job->spec().evaluate().metrics()) {
      if (absl::StartsWith(metric, "efficiency/")) {
        v1::EfficiencyReport* efficiency = evaluation.add_efficiencies();
        efficiency->set_metric(metric);
        efficiency->set_repetitions(5);
        efficiency->set_threads(2);
        efficiency->set_compute_type("F32");
        efficiency->set_peak_resident_bytes(3 << 20);
        v1::ModelEfficiency* model = efficiency->mutable_target();
        model->mutable_prompt()->set_mean(1234);
        model->mutable_prompt()->set_deviation(5.5);
        // Fewer bits are faster, whatever the method.
        const double faster = artifact ? 8 * (3 - BitsOf(made)) : 0;
        model->mutable_generation()->set_mean(56.25 + faster);
        model->mutable_generation()->set_deviation(1.25);
        model->set_loaded_bytes(2 << 20);
        model->mutable_latency()->set_steps(640);
        model->mutable_latency()->set_p99_seconds(0.0205);
        model->mutable_generation_time()->set_wall_seconds(2);
        model->mutable_generation_time()->set_cpu_seconds(3);
        if (!job->spec().evaluate().baseline().empty()) {
          efficiency->set_baseline_name("models/m");
          *efficiency->mutable_baseline() = *model;
          efficiency->mutable_prompt_ratio()->set_ratio(1.25);
          efficiency->mutable_generation_ratio()->set_ratio(1.5 + faster / 32);
          efficiency->mutable_generation_ratio()->set_error(0.015625);
        }
        continue;
      }
      if (absl::StartsWith(metric, "attribution/")) {
        v1::AttributionReport* attribution = evaluation.add_attributions();
        attribution->set_metric(metric);
        attribution->set_granularity(
            job->spec().evaluate().attribution_granularity());
        attribution->set_baseline("models/m");
        attribution->mutable_kl()->set_mean(0.5);
        v1::UnitAttribution* unit = attribution->add_units();
        unit->set_name("model.layers.0");
        unit->set_bits_per_weight(3.25);
        unit->mutable_alone_kl()->set_mean(0.375);
        unit->mutable_alone_kl()->set_error_clustered(0.125);
        unit->set_alone_kl_share(0.75);
        v1::UnitBits* bits = attribution->mutable_suggestion()->add_units();
        bits->set_name("model.layers.0");
        bits->set_change(2);
        v1::BitSuggestion* suggestion = attribution->mutable_suggestion();
        suggestion->set_bits_per_weight(3.25);
        suggestion->set_suggested_bits_per_weight(5.25);
        suggestion->set_target_bits_per_weight(
            job->spec().evaluate().attribution_target_bits());
        v1::LayerRule* rule = suggestion->add_layer_rules();
        rule->set_pattern("model\\.layers\\.0\\..*");
        rule->add_set("bits=5");
        suggestion->set_recipe("name: \"rtn-suggested\"\n");
        continue;
      }
      constexpr absl::string_view kDivergence = "divergence/";
      if (absl::StartsWith(metric, kDivergence)) {
        v1::DivergenceReport* divergence = evaluation.add_divergences();
        divergence->set_metric(metric);
        metric.replace(0, kDivergence.size(), "ppl/");
        *divergence->mutable_tag() = Tag(metric);
        divergence->set_baseline("models/m");
        divergence->mutable_kl()->mutable_mean()->set_mean(0.03125 * loss);
        divergence->mutable_kl()->mutable_mean()->set_error_clustered(0.0005);
        divergence->mutable_kl()->set_maximum(7.5);
        v1::Percentile* percentile =
            divergence->mutable_kl()->add_percentiles();
        percentile->set_percent(99.9);
        percentile->set_value(3.25);
        divergence->mutable_top1_agreement()->set_mean(0.9125);
        divergence->mutable_baseline_perplexity()->set_perplexity(120.3396);
        v1::WorstToken* worst = divergence->add_worst_tokens();
        worst->set_window(12);
        worst->set_position(34);
        worst->set_kl(7.5);
        worst->set_token_text(" cat");
        worst->set_context("It was\nthe");
      }
      v1::PerplexityReport* report = evaluation.add_perplexities();
      *report->mutable_tag() = Tag(metric);
      report->set_perplexity(artifact ? 125.5 + 5.1604 * (loss - 1) : 120.3396);
      report->set_error_iid(1.25);
      report->set_error_clustered(2.5);
      report->set_window_count(776);
      report->set_scored_tokens(396536);
    }
    for (const v1::TaskRun& run : job->spec().evaluate().tasks()) {
      v1::TaskReport* report = evaluation.add_tasks();
      report->mutable_tag()->set_task(run.name());
      report->set_item_count(500);
      v1::TaskMetric* metric = report->add_metrics();
      metric->set_name("acc");
      metric->set_value(0.75 - 0.03125 * loss);
      metric->set_error_clustered(0.02);
    }
    if (evaluation.perplexities_size() + evaluation.tasks_size() > 0) {
      evaluation.set_tokens_per_second(1000);
    }
    fake_.evaluations_[evaluation.name()] = evaluation;
    result->set_evaluation(evaluation.name());
  }

  FakeQuantd& fake_;
};

std::unique_ptr<grpc::Service> FakeQuantd::NewJobs() {
  return std::make_unique<Jobs>(this);
}

}  // namespace quantd::test
