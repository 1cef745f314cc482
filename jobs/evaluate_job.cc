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
#include "evaluators/scorer.h"
#include "evaluators/scoring_forecast.h"
#include "jobs/allocator.h"
#include "jobs/continuation_run.h"
#include "jobs/job_forecast.h"
#include "jobs/run_context.h"
#include "models/checkpoint.h"
#include "models/model.h"
#include "models/model_footprint.h"
#include "models/tokenizer.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

// One metric of the job: its evaluator and the windows it wants.
struct MetricRun {
  std::string name;
  std::unique_ptr<Evaluator> evaluator;
  std::vector<ScoreRequest> requests;
};

absl::StatusOr<std::vector<MetricRun>> PrepareMetrics(
    const v1::EvaluateSpec& spec, absl::string_view text,
    const Tokenizer& tokenizer, const ModelDescription& model,
    ExecutionContext& context) {
  std::vector<MetricRun> runs;
  EvaluatorOptions options;
  options.max_windows = spec.max_windows();
  for (const std::string& metric : MetricsToRun(spec.metrics())) {
    MetricRun run;
    run.name = metric;
    ASSIGN_OR_RETURN(run.evaluator, NewEvaluator(metric, options));
    ASSIGN_OR_RETURN(
        run.requests,
        run.evaluator->Requests(text, {tokenizer, model.context_tokens}));
    // The last token of a window predicts nothing.
    size_t longest = 0;
    for (const ScoreRequest& request : run.requests) {
      longest = std::max(longest, request.tokens.size() - 1);
    }
    if (model.context_tokens > 0 &&
        longest > static_cast<size_t>(model.context_tokens)) {
      context.ReportWarning(
          absl::StrCat(metric, ": windows in which ", longest,
                       " tokens predict exceed the model's context of ",
                       model.context_tokens));
    }
    runs.push_back(std::move(run));
  }
  return runs;
}

// Tokens of as many of the longest windows as run together.
int64_t BatchTokens(const v1::EvaluateSpec& spec,
                    const std::vector<MetricRun>& runs) {
  size_t longest = 0;
  for (const MetricRun& run : runs) {
    for (const ScoreRequest& request : run.requests) {
      longest = std::max(longest, request.tokens.size());
    }
  }
  return int64_t{spec.batch_windows()} * static_cast<int64_t>(longest);
}

// Bits per weight that the checkpoint says of itself; 0 for an original.
double BitsPerWeightOf(const Checkpoint& checkpoint) {
  const auto quantization = checkpoint.config().find("quantization_config");
  if (quantization == checkpoint.config().end() || !quantization->is_object()) {
    return 0;
  }
  const auto bits = quantization->find("bits_per_weight");
  return bits != quantization->end() && bits->is_number() ? bits->get<double>()
                                                          : 0;
}

// A model of the job, from headers.
struct OpenedModel {
  std::shared_ptr<const Checkpoint> checkpoint;
  ModelDescription description;
  ModelFootprint footprint;
};

absl::StatusOr<OpenedModel> OpenModel(const std::string& directory) {
  OpenedModel opened;
  ASSIGN_OR_RETURN(opened.checkpoint, Checkpoint::Open(directory));
  ASSIGN_OR_RETURN(opened.description, DescribeModel(*opened.checkpoint));
  opened.footprint = FootprintOf(*opened.checkpoint, opened.description);
  return opened;
}

// InvalidArgument unless a token is the same piece of text to both models, and
// a text begins alike for both.
absl::Status CheckSameTokenizer(const v1::Assignment& assignment,
                                const Tokenizer& tokenizer) {
  ASSIGN_OR_RETURN(
      const std::unique_ptr<Tokenizer> baseline,
      Annotate(LoadTokenizer(assignment.baseline_directory()), "baseline"));
  if (baseline->digest() != tokenizer.digest()) {
    return absl::InvalidArgumentError(absl::StrCat(
        assignment.input_name(), " (tokenizer ",
        tokenizer.digest().substr(0, 8), ") and its baseline ",
        assignment.baseline_name(), " (tokenizer ",
        baseline->digest().substr(0, 8),
        ") have different tokenizers: their predictions cannot be compared"));
  }
  if (baseline->leading_id() != tokenizer.leading_id()) {
    return absl::InvalidArgumentError(absl::StrCat(
        assignment.input_name(), " and its baseline ",
        assignment.baseline_name(),
        " begin a text differently (add_bos_token, bos_token): their "
        "predictions cannot be compared"));
  }
  return absl::OkStatus();
}

void AddMetrics(const v1::Evaluation& evaluation, v1::JobResult* result) {
  auto& metrics = *result->mutable_metrics();
  for (const v1::PerplexityReport& report : evaluation.perplexities()) {
    const std::string& name = report.tag().convention();
    metrics[name] = report.perplexity();
    if (report.has_word_perplexity()) {
      metrics[name + "/word_perplexity"] = report.word_perplexity().value();
    }
    if (report.has_byte_perplexity()) {
      metrics[name + "/byte_perplexity"] = report.byte_perplexity().value();
    }
    if (report.has_bits_per_byte()) {
      metrics[name + "/bits_per_byte"] = report.bits_per_byte().value();
    }
  }
  for (const v1::DivergenceReport& report : evaluation.divergences()) {
    const std::string prefix = absl::StrCat(report.metric(), "/");
    metrics[prefix + "mean_kl"] = report.kl().mean().mean();
    metrics[prefix + "top1_agreement"] = report.top1_agreement().mean();
    metrics[prefix + "ln_perplexity_ratio"] = report.log_ratio().mean();
  }
  metrics["tokens_per_second"] = evaluation.tokens_per_second();
}

}  // namespace

absl::StatusOr<v1::AttemptSuccess> RunEvaluateJob(
    const v1::Assignment& assignment, ExecutionContext& context) {
  const absl::Time start = absl::Now();
  const v1::JobSpec& spec = assignment.job().spec();
  ApplyComputeType(spec, context);
  ProgressUpdate progress;
  progress.phase = "load";
  context.ReportProgress(progress);
  ASSIGN_OR_RETURN(OpenedModel opened, OpenModel(assignment.input_directory()));
  const std::shared_ptr<const Checkpoint> checkpoint = opened.checkpoint;
  std::optional<OpenedModel> opened_baseline;
  if (!assignment.baseline_directory().empty()) {
    ASSIGN_OR_RETURN(
        opened_baseline,
        Annotate(OpenModel(assignment.baseline_directory()), "baseline"));
  }
  ASSIGN_OR_RETURN(const TextSize size, AssignedTextSize(assignment));
  ASSIGN_OR_RETURN(
      const JobPlan plan,
      PlanEvaluateJob(opened.footprint,
                      opened_baseline ? &opened_baseline->footprint : nullptr,
                      spec, size, assignment.memory_bytes()));
  ASSIGN_OR_RETURN(const uint64_t free_disk,
                   FreeDiskBytes(assignment.workspace()));
  RETURN_IF_ERROR(CheckForecast(plan.forecast, free_disk));
  ModelOptions model_options;
  if (plan.scoring_order == ScoringOrder::kLayerMajor) {
    model_options.max_head_bytes = kLayerMajorHeadBytes;
  }
  const std::unique_ptr<Model> model = Model::OpenDescribed(
      checkpoint, std::move(opened.description), model_options);
  std::unique_ptr<Model> baseline;
  if (opened_baseline.has_value()) {
    baseline = Model::OpenDescribed(opened_baseline->checkpoint,
                                    std::move(opened_baseline->description),
                                    model_options);
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Tokenizer> tokenizer,
                   LoadTokenizer(assignment.input_directory()));
  if (baseline != nullptr) {
    RETURN_IF_ERROR(CheckSameTokenizer(assignment, *tokenizer));
  }
  ASSIGN_OR_RETURN(std::string text, ReadAssignedText(assignment));
  ASSIGN_OR_RETURN(std::vector<MetricRun> runs,
                   PrepareMetrics(spec.evaluate(), text, *tokenizer,
                                  model->description(), context));
  std::optional<Scorer> scorer;
  if (!runs.empty()) {
    text = std::string();
    tokenizer.reset();
    TrimFreedMemory();
    ScorerOptions options;
    options.order = plan.scoring_order;
    options.prefixes.batch_tokens = BatchTokens(spec.evaluate(), runs);
    options.activations.memory_bytes = plan.activation_memory_bytes;
    options.activations.directory = assignment.workspace();
    if (plan.scoring_order == ScoringOrder::kLayerMajor) {
      context.ReportNote(absl::StrCat(
          "layer-major: ", ByteSizeText(plan.activation_memory_bytes),
          " of activations in memory, ",
          ByteSizeText(plan.forecast.spilled_bytes()), " on disk at most"));
    }
    if (baseline != nullptr) {
      ASSIGN_OR_RETURN(scorer,
                       Scorer::LoadPair(*model, *baseline, options, context));
    } else {
      ASSIGN_OR_RETURN(scorer, Scorer::Load(*model, options, context));
    }
  }

  size_t total = 0;
  for (const MetricRun& run : runs) total += run.requests.size();
  if (!runs.empty()) {
    progress.phase = "evaluate";
    progress.total = total;
    context.ReportProgress(progress);
  }
  size_t before = 0;
  uint64_t tokens = 0;
  const absl::Time scoring_start = absl::Now();
  v1::AttemptSuccess success;
  v1::Evaluation& evaluation = *success.mutable_evaluation();
  for (MetricRun& run : runs) {
    const auto on_progress = [&](double part) {
      const double done = static_cast<double>(before) +
                          part * static_cast<double>(run.requests.size());
      progress.phase = "evaluate";
      progress.done = static_cast<uint64_t>(done);
      progress.total = total;
      progress.fraction = done / static_cast<double>(total);
      progress.detail = run.name;
      context.ReportProgress(progress);
    };
    if (run.evaluator->compares()) {
      RETURN_IF_ERROR(scorer->ScorePair(
          run.requests, {},
          [&](size_t index, absl::Span<const TargetDivergence> targets) {
            return run.evaluator->FoldPair(index, targets);
          },
          on_progress, context));
    } else {
      RETURN_IF_ERROR(scorer->Score(
          run.requests, {},
          [&](size_t index, absl::Span<const TokenScore> scores) {
            return run.evaluator->Fold(index, scores);
          },
          on_progress, context));
    }
    tokens += static_cast<uint64_t>(scorer->tokens_run());
    before += run.requests.size();
    RETURN_IF_ERROR(run.evaluator->Report(&evaluation));
  }
  if (spec.evaluate().has_generation()) {
    ASSIGN_OR_RETURN(tokens,
                     ContinuePrompts(spec.evaluate().generation(), text, *model,
                                     *tokenizer, context, &evaluation));
  }
  const double scoring = absl::ToDoubleSeconds(absl::Now() - scoring_start);
  const uint64_t spilled_bytes =
      scorer.has_value() ? scorer->spilled_bytes() : 0;
  if (evaluation.divergences_size() > 0) {
    // Blocks and tokenizer are not held at the same time.
    scorer.reset();
    ASSIGN_OR_RETURN(tokenizer, LoadTokenizer(assignment.input_directory()));
  }
  for (v1::DivergenceReport& report : *evaluation.mutable_divergences()) {
    report.set_baseline(assignment.baseline_name());
    report.set_baseline_digest(assignment.baseline_digest());
    DecodeWorstTokens(*tokenizer, &report);
  }

  evaluation.set_target(assignment.input_name());
  evaluation.set_target_digest(assignment.input_digest());
  evaluation.set_target_size_bytes(checkpoint->tensor_bytes());
  evaluation.set_bits_per_weight(BitsPerWeightOf(*checkpoint));
  evaluation.set_wall_seconds(absl::ToDoubleSeconds(absl::Now() - start));
  evaluation.set_tokens_per_second(
      scoring > 0 ? static_cast<double>(tokens) / scoring : 0);
  auto& record = *evaluation.mutable_context();
  record["quantd_version"] = std::string(Version());
  record["device"] = std::string(context.device().name());
  record["threads"] = absl::StrCat(context.device().pool().threads());
  GemmArgs probe;
  probe.m = probe.n = probe.k = 1;
  probe.compute = context.compute_type();
  record["gemm"] = context.device().gemm_name(probe);
  record["weights_digest"] = checkpoint->digest();
  if (opened_baseline.has_value()) {
    record["baseline_weights_digest"] = opened_baseline->checkpoint->digest();
  }
  if (!runs.empty()) {
    record["scoring_order"] =
        v1::ScoringOrder_Name(plan.forecast.scoring_order());
  }

  v1::JobResult& result = *success.mutable_result();
  result.set_wall_seconds(evaluation.wall_seconds());
  AddMetrics(evaluation, &result);
  if (spilled_bytes > 0) {
    (*result.mutable_metrics())["spilled_activation_bytes"] =
        static_cast<double>(spilled_bytes);
  }
  return success;
}

}  // namespace quantd
