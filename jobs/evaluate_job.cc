#include "jobs/evaluate_job.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/byte_size.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "evaluators/divergence.h"
#include "evaluators/evaluator.h"
#include "evaluators/generator.h"
#include "evaluators/score_store.h"
#include "evaluators/scorer.h"
#include "evaluators/scoring_forecast.h"
#include "evaluators/stored_scoring.h"
#include "jobs/allocator.h"
#include "jobs/continuation_run.h"
#include "jobs/evaluated_models.h"
#include "jobs/job_forecast.h"
#include "jobs/measurement_run.h"
#include "jobs/metric_run.h"
#include "jobs/run_context.h"
#include "jobs/score_metrics.h"
#include "jobs/task_run.h"
#include "models/checkpoint.h"
#include "models/model.h"
#include "models/model_footprint.h"
#include "models/tokenizer.h"

namespace quantd {
namespace {

void NoteKept(const std::string& name, uint64_t kept, uint64_t requests,
              ExecutionContext& context) {
  if (kept == 0) return;
  context.ReportNote(absl::StrCat(name, ": ", kept, " of ", requests,
                                  " requests were scored before"));
}

// What a metric that is measured counts beside scored requests.
constexpr uint64_t kMeasurementRequests = 10;

// One attempt of an evaluation, in the order of its steps.
class EvaluateRun {
 public:
  EvaluateRun(const v1::Assignment& assignment, ExecutionContext& context)
      : assignment_(assignment),
        spec_(assignment.job().spec().evaluate()),
        context_(context) {}

  absl::StatusOr<v1::AttemptSuccess> Run();

 private:
  absl::Status Open();
  absl::Status DigestWeights();
  // Tokenizes; what is to be scored or continued is known after it.
  absl::Status Prepare();
  absl::Status RunEfficiencies();
  absl::Status RunAttributions();
  absl::Status LoadScorer();
  absl::Status RunMetric(MetricRun& run);
  absl::Status RunLikelihoodTasks();
  absl::Status RunGenerationTasks();
  absl::Status RunContinuations();
  absl::Status NameBaseline();
  void Describe();

  // Requests of as much work as an attribution: about a pass a block.
  uint64_t AttributionRequests(const PreparedAttribution& attribution) const {
    return attribution.requests.size() *
           static_cast<uint64_t>(1 + model_->block_count());
  }

  void Begin(const std::string& phase, const std::string& name);
  // `part` of the step that began is done.
  void Report(double part, uint64_t requests);
  void Count(const StoredScoring& scoring);

  // What computes products.
  std::string GemmName() const {
    GemmArgs probe;
    probe.m = probe.n = probe.k = 1;
    probe.compute = context_.compute_type();
    return context_.device().gemm_name(probe);
  }

  // Where scores are kept, of the model alone or beside its baseline: with the
  // server's, or for this job alone. Read once for all metrics and tasks.
  ScoreStore& Store(bool of_pairs) {
    std::unique_ptr<ScoreStore>& store = of_pairs ? pair_store_ : store_;
    if (store == nullptr) store = NewStore(of_pairs);
    return *store;
  }

  std::unique_ptr<ScoreStore> NewStore(bool of_pairs) const {
    ScoreContext context;
    context.weights_digest = weights_digest_;
    if (of_pairs) context.baseline_weights_digest = baseline_weights_digest_;
    context.arithmetic = absl::StrCat(context_.device().name(), " ", GemmName(),
                                      " ", kScoringNumerics);
    if (!assignment_.score_directory().empty()) {
      return std::make_unique<ScoreStore>(assignment_.score_directory(),
                                          context, assignment_.score_bytes());
    }
    return std::make_unique<ScoreStore>(assignment_.workspace() + "/scores",
                                        context, UINT64_MAX);
  }

  const v1::Assignment& assignment_;
  const v1::EvaluateSpec& spec_;
  ExecutionContext& context_;

  std::shared_ptr<const Checkpoint> checkpoint_;
  std::optional<OpenedModel> opened_baseline_;
  std::string weights_digest_, baseline_weights_digest_;  // of their contents
  JobPlan plan_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Model> baseline_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::string text_;
  std::vector<std::string> efficiencies_;
  std::vector<PreparedAttribution> attributions_;
  std::vector<MetricRun> metrics_;
  std::vector<PreparedTask> tasks_;
  std::optional<Scorer> scorer_;
  std::unique_ptr<ScoreStore> store_, pair_store_;

  ProgressUpdate progress_;
  uint64_t total_requests_ = 0;
  uint64_t done_requests_ = 0;
  uint64_t tokens_ = 0;
  uint64_t spilled_bytes_ = 0;
  uint64_t strict_checked_ = 0;  // requests scored again by themselves
  v1::AttemptSuccess success_;
  v1::Evaluation& evaluation_ = *success_.mutable_evaluation();
};

absl::Status EvaluateRun::Open() {
  ASSIGN_OR_RETURN(OpenedModel opened,
                   OpenModel(assignment_.input_directory()));
  checkpoint_ = opened.checkpoint;
  if (!assignment_.baseline_directory().empty()) {
    ASSIGN_OR_RETURN(
        opened_baseline_,
        Annotate(OpenModel(assignment_.baseline_directory()), "baseline"));
  }
  ASSIGN_OR_RETURN(const TextSize size, AssignedTextSize(assignment_));
  ASSIGN_OR_RETURN(
      plan_, PlanEvaluateJob(
                 opened.footprint,
                 opened_baseline_ ? &opened_baseline_->footprint : nullptr,
                 assignment_.job().spec(), size, assignment_.memory_bytes()));
  ASSIGN_OR_RETURN(const uint64_t free_disk,
                   FreeDiskBytes(assignment_.workspace()));
  RETURN_IF_ERROR(CheckForecast(plan_.forecast, free_disk));
  ModelOptions options;
  if (plan_.scoring_order == ScoringOrder::kLayerMajor) {
    options.max_head_bytes = kLayerMajorHeadBytes;
  }
  model_ =
      Model::OpenDescribed(checkpoint_, std::move(opened.description), options);
  if (opened_baseline_.has_value()) {
    baseline_ =
        Model::OpenDescribed(opened_baseline_->checkpoint,
                             std::move(opened_baseline_->description), options);
  }
  return absl::OkStatus();
}

absl::Status EvaluateRun::DigestWeights() {
  ASSIGN_OR_RETURN(weights_digest_, checkpoint_->ContentDigest(context_));
  if (opened_baseline_.has_value()) {
    ASSIGN_OR_RETURN(baseline_weights_digest_,
                     opened_baseline_->checkpoint->ContentDigest(context_));
  }
  return absl::OkStatus();
}

absl::Status EvaluateRun::Prepare() {
  efficiencies_ = MetricsToRun(spec_.metrics(), MetricKind::kEfficiency);
  total_requests_ = kMeasurementRequests * efficiencies_.size();
  if (!spec_.has_generation() && spec_.tasks().empty() &&
      !AnyNeedsText(spec_.metrics())) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(tokenizer_, LoadTokenizer(assignment_.input_directory()));
  if (AnyCompares(spec_.metrics())) {
    RETURN_IF_ERROR(CheckSameTokenizer(assignment_, *tokenizer_));
  }
  if (!assignment_.dataset_path().empty()) {
    ASSIGN_OR_RETURN(text_, ReadAssignedText(assignment_));
    ASSIGN_OR_RETURN(metrics_, PrepareMetrics(spec_, text_, *tokenizer_,
                                              model_->description(), context_));
    for (const std::string& metric :
         MetricsToRun(spec_.metrics(), MetricKind::kAttribution)) {
      ASSIGN_OR_RETURN(
          PreparedAttribution attribution,
          PrepareAttribution(metric, spec_, text_, *tokenizer_, *model_));
      total_requests_ += AttributionRequests(attribution);
      attributions_.push_back(std::move(attribution));
    }
  }
  ASSIGN_OR_RETURN(tasks_,
                   PrepareTasks(spec_, assignment_, *model_, *tokenizer_));
  bool writes = spec_.has_generation();
  for (const MetricRun& run : metrics_) total_requests_ += run.requests.size();
  for (const PreparedTask& task : tasks_) {
    for (const LikelihoodTask& likelihood : task.likelihood) {
      total_requests_ += likelihood.requests().size();
    }
    for (const GenerationTask& generation : task.generation) {
      total_requests_ += generation.prompts();
      writes = true;
    }
  }
  if (!spec_.has_generation()) text_ = std::string();
  if (!writes) tokenizer_.reset();
  TrimFreedMemory();
  return absl::OkStatus();
}

absl::Status EvaluateRun::RunEfficiencies() {
  for (const std::string& metric : efficiencies_) {
    Begin("evaluate", metric);
    RETURN_IF_ERROR(RunEfficiency(
        metric, assignment_, checkpoint_,
        opened_baseline_ ? opened_baseline_->checkpoint : nullptr,
        [&](double part) { Report(part, kMeasurementRequests); }, context_,
        &evaluation_));
    done_requests_ += kMeasurementRequests;
  }
  return absl::OkStatus();
}

absl::Status EvaluateRun::RunAttributions() {
  for (const PreparedAttribution& attribution : attributions_) {
    const uint64_t requests = AttributionRequests(attribution);
    const std::string name =
        absl::StrCat("attribution/", attribution.windows.name());
    Begin("evaluate", name);
    RETURN_IF_ERROR(Annotate(RunAttribution(
                                 attribution, assignment_, *model_, *baseline_,
                                 [&](double part) { Report(part, requests); },
                                 context_, &evaluation_),
                             name));
    done_requests_ += requests;
  }
  return absl::OkStatus();
}

absl::Status EvaluateRun::LoadScorer() {
  ScorerOptions options;
  options.order = plan_.scoring_order;
  options.activations.memory_bytes = plan_.activation_memory_bytes;
  options.activations.directory = assignment_.workspace();
  if (plan_.scoring_order == ScoringOrder::kLayerMajor) {
    context_.ReportNote(absl::StrCat(
        "layer-major: ", ByteSizeText(plan_.activation_memory_bytes),
        " of a portion's activations in memory, ",
        ByteSizeText(plan_.forecast.spilled_bytes()), " on disk at most"));
  }
  const bool compares = std::any_of(
      metrics_.begin(), metrics_.end(),
      [](const MetricRun& run) { return run.evaluator->compares(); });
  if (compares) {
    ASSIGN_OR_RETURN(scorer_,
                     Scorer::LoadPair(*model_, *baseline_, options, context_));
  } else {
    ASSIGN_OR_RETURN(scorer_, Scorer::Load(*model_, options, context_));
  }
  return absl::OkStatus();
}

void EvaluateRun::Begin(const std::string& phase, const std::string& name) {
  progress_.phase = phase;
  progress_.detail = name;
  Report(0, 0);
}

void EvaluateRun::Report(double part, uint64_t requests) {
  const double done = static_cast<double>(done_requests_) +
                      part * static_cast<double>(requests);
  progress_.done = static_cast<uint64_t>(done);
  progress_.total = total_requests_;
  progress_.fraction = done / static_cast<double>(total_requests_);
  context_.ReportProgress(progress_);
}

void EvaluateRun::Count(const StoredScoring& scoring) {
  tokens_ += static_cast<uint64_t>(scoring.tokens_run);
  spilled_bytes_ = std::max(spilled_bytes_, scoring.spilled_bytes);
  strict_checked_ += scoring.checked;
}

absl::Status EvaluateRun::RunMetric(MetricRun& run) {
  Begin("evaluate", run.name);
  const auto on_progress = [&](double part) {
    Report(part, run.requests.size());
  };
  PrefixOptions prefixes;
  prefixes.batch_tokens = BatchTokens(spec_, run);
  scorer_->set_prefixes(prefixes);
  const bool compares = run.evaluator->compares();
  ScoreStore& store = Store(compares);
  StoredScoring scoring;
  if (compares) {
    ASSIGN_OR_RETURN(
        scoring,
        ScorePairByStore(
            run.requests, *scorer_, store,
            [&](size_t index, absl::Span<const TargetDivergence> targets) {
              return run.evaluator->FoldPair(index, targets);
            },
            on_progress, context_));
  } else {
    ASSIGN_OR_RETURN(
        scoring, ScoreByStore(
                     run.requests, *scorer_, store,
                     [&](size_t index, absl::Span<const TokenScore> scores) {
                       return run.evaluator->Fold(index, scores);
                     },
                     on_progress, context_));
  }
  NoteKept(run.name, scoring.kept, run.requests.size(), context_);
  Count(scoring);
  done_requests_ += run.requests.size();
  return run.evaluator->Report(&evaluation_);
}

absl::Status EvaluateRun::RunLikelihoodTasks() {
  PrefixOptions prefixes;
  prefixes.batch_tokens = spec_.batch_tokens();
  scorer_->set_prefixes(prefixes);
  for (PreparedTask& task : tasks_) {
    if (task.likelihood.empty()) continue;
    const uint64_t requests = task.likelihood[0].requests().size();
    Begin("evaluate", task.tag.task());
    ScoreStore& store = Store(false);
    ASSIGN_OR_RETURN(
        const StoredScoring scoring,
        RunLikelihoodTask(
            task, *scorer_, store, [&](double part) { Report(part, requests); },
            context_, &evaluation_));
    const v1::TaskReport& report = *evaluation_.tasks().rbegin();
    NoteKept(task.tag.task(), report.kept_requests(), requests, context_);
    Count(scoring);
    done_requests_ += requests;
    task.likelihood.clear();
  }
  return absl::OkStatus();
}

absl::Status EvaluateRun::RunGenerationTasks() {
  std::optional<Generator> generator;
  for (PreparedTask& task : tasks_) {
    if (task.generation.empty()) continue;
    if (!generator.has_value()) {
      ASSIGN_OR_RETURN(generator, Generator::Load(*model_, context_));
    }
    const uint64_t prompts = task.generation[0].prompts();
    Begin("generate", task.tag.task());
    ASSIGN_OR_RETURN(const uint64_t tokens,
                     Annotate(RunGenerationTask(
                                  task, *generator,
                                  [&](double part) { Report(part, prompts); },
                                  context_, &evaluation_),
                              "task ", task.tag.task()));
    tokens_ += tokens;
    done_requests_ += prompts;
    task.generation.clear();
  }
  return absl::OkStatus();
}

absl::Status EvaluateRun::RunContinuations() {
  if (!spec_.has_generation()) return absl::OkStatus();
  ASSIGN_OR_RETURN(
      tokens_, ContinuePrompts(spec_.generation(), text_, *model_, *tokenizer_,
                               context_, &evaluation_));
  return absl::OkStatus();
}

absl::Status EvaluateRun::NameBaseline() {
  if (evaluation_.divergences_size() == 0) return absl::OkStatus();
  // Blocks and tokenizer are not held at the same time.
  ASSIGN_OR_RETURN(tokenizer_, LoadTokenizer(assignment_.input_directory()));
  for (v1::DivergenceReport& report : *evaluation_.mutable_divergences()) {
    report.set_baseline(assignment_.baseline_name());
    report.set_baseline_digest(assignment_.baseline_digest());
    DecodeWorstTokens(*tokenizer_, &report);
  }
  return absl::OkStatus();
}

void EvaluateRun::Describe() {
  evaluation_.set_target(assignment_.input_name());
  evaluation_.set_target_digest(assignment_.input_digest());
  evaluation_.set_target_size_bytes(checkpoint_->tensor_bytes());
  evaluation_.set_bits_per_weight(BitsPerWeightOf(*checkpoint_));
  auto& record = *evaluation_.mutable_context();
  record["quantd_version"] = std::string(Version());
  record["device"] = std::string(context_.device().name());
  record["threads"] = absl::StrCat(context_.device().pool().threads());
  record["gemm"] = GemmName();
  record["weights_digest"] = weights_digest_;
  if (opened_baseline_.has_value()) {
    record["baseline_weights_digest"] = baseline_weights_digest_;
  }
  if (strict_checked_ > 0) {
    record["strict_checked_requests"] = absl::StrCat(strict_checked_);
  }
  if (!metrics_.empty() || !tasks_.empty()) {
    record["scoring_order"] =
        v1::ScoringOrder_Name(plan_.forecast.scoring_order());
  }
}

absl::StatusOr<v1::AttemptSuccess> EvaluateRun::Run() {
  const absl::Time start = absl::Now();
  ApplyComputeType(assignment_.job().spec(), context_);
  progress_.phase = "load";
  context_.ReportProgress(progress_);
  RETURN_IF_ERROR(Open());
  RETURN_IF_ERROR(Prepare());
  const bool scores =
      !metrics_.empty() ||
      std::any_of(tasks_.begin(), tasks_.end(), [](const PreparedTask& task) {
        return !task.likelihood.empty();
      });
  // While no other block is in memory.
  RETURN_IF_ERROR(RunEfficiencies());
  // Not before them: it brings the files into the page cache.
  RETURN_IF_ERROR(DigestWeights());
  RETURN_IF_ERROR(RunAttributions());
  if (scores) RETURN_IF_ERROR(LoadScorer());
  const absl::Time scoring_start = absl::Now();
  for (MetricRun& run : metrics_) RETURN_IF_ERROR(RunMetric(run));
  if (scores) RETURN_IF_ERROR(RunLikelihoodTasks());
  scorer_.reset();
  store_.reset();
  pair_store_.reset();
  RETURN_IF_ERROR(RunGenerationTasks());
  RETURN_IF_ERROR(RunContinuations());
  const double seconds = absl::ToDoubleSeconds(absl::Now() - scoring_start);
  RETURN_IF_ERROR(NameBaseline());
  Describe();
  evaluation_.set_wall_seconds(absl::ToDoubleSeconds(absl::Now() - start));
  evaluation_.set_tokens_per_second(
      seconds > 0 ? static_cast<double>(tokens_) / seconds : 0);

  v1::JobResult& result = *success_.mutable_result();
  result.set_wall_seconds(evaluation_.wall_seconds());
  AddScoreMetrics(evaluation_, &result);
  AddMeasurementMetrics(evaluation_, &result);
  if (spilled_bytes_ > 0) {
    (*result.mutable_metrics())["spilled_activation_bytes"] =
        static_cast<double>(spilled_bytes_);
  }
  return std::move(success_);
}

}  // namespace

absl::StatusOr<v1::AttemptSuccess> RunEvaluateJob(
    const v1::Assignment& assignment, ExecutionContext& context) {
  return EvaluateRun(assignment, context).Run();
}

}  // namespace quantd
