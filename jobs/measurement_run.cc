#include "jobs/measurement_run.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "evaluators/attribution.h"
#include "evaluators/process_meter.h"
#include "jobs/allocator.h"
#include "jobs/suggested_recipe.h"
#include "models/model.h"

namespace quantd {

absl::StatusOr<EfficiencyOptions> EfficiencyOptionsOf(
    absl::string_view metric) {
  return ParseEfficiency(absl::StripPrefix(metric, "efficiency/"));
}

absl::Status RunEfficiency(const std::string& metric,
                           const v1::Assignment& assignment,
                           std::shared_ptr<const Checkpoint> target,
                           std::shared_ptr<const Checkpoint> baseline,
                           absl::FunctionRef<void(double part)> on_progress,
                           ExecutionContext& context,
                           v1::Evaluation* evaluation) {
  ASSIGN_OR_RETURN(const EfficiencyOptions options,
                   EfficiencyOptionsOf(metric));
  ASSIGN_OR_RETURN(const std::unique_ptr<Model> model,
                   Model::Open(std::move(target)));
  std::unique_ptr<Model> second;
  if (baseline != nullptr) {
    ASSIGN_OR_RETURN(second, Model::Open(std::move(baseline)));
  }
  const std::unique_ptr<ProcessMeter> meter = NewProcessMeter();
  ASSIGN_OR_RETURN(v1::EfficiencyReport report,
                   Annotate(MeasureEfficiency(*model, second.get(), options,
                                              *meter, on_progress, context),
                            metric));
  if (second != nullptr) {
    report.set_baseline_name(assignment.baseline_name());
    report.set_baseline_digest(assignment.baseline_digest());
  }
  *evaluation->add_efficiencies() = std::move(report);
  TrimFreedMemory();
  return absl::OkStatus();
}

absl::StatusOr<ConventionWindows> AttributionWindowsOf(
    absl::string_view metric, const v1::EvaluateSpec& spec) {
  EvaluatorOptions options;
  options.max_windows = spec.max_windows();
  return ParseAttribution(absl::StripPrefix(metric, "attribution/"), options);
}

absl::StatusOr<PreparedAttribution> PrepareAttribution(
    absl::string_view metric, const v1::EvaluateSpec& spec,
    absl::string_view text, const Tokenizer& tokenizer, const Model& target) {
  ASSIGN_OR_RETURN(ConventionWindows windows,
                   AttributionWindowsOf(metric, spec));
  ASSIGN_OR_RETURN(
      std::vector<ScoreRequest> requests,
      windows.Requests(text, {tokenizer, target.description().context_tokens}));
  return PreparedAttribution{std::move(windows), std::move(requests)};
}

absl::Status RunAttribution(const PreparedAttribution& attribution,
                            const v1::Assignment& assignment,
                            const Model& target, const Model& baseline,
                            absl::FunctionRef<void(double part)> on_progress,
                            ExecutionContext& context,
                            v1::Evaluation* evaluation) {
  const v1::EvaluateSpec& spec = assignment.job().spec().evaluate();
  AttributionOptions options;
  options.granularity = spec.attribution_granularity();
  options.batch_windows = spec.batch_windows();
  options.target_bits = spec.attribution_target_bits();
  const absl::StatusOr<SuggestedRecipe> recipe =
      SuggestedRecipe::Open(assignment.input_directory());
  if (recipe.ok()) {
    options.bit_changes = [&](const std::string& unit) {
      return recipe->ChangesOf(unit);
    };
  }
  ASSIGN_OR_RETURN(
      v1::AttributionReport report,
      MeasureAttribution(target, baseline, attribution.windows,
                         attribution.requests, options, on_progress, context));
  if (report.has_suggestion()) {
    const absl::Status added = recipe.ok()
                                   ? recipe->AddTo(report.mutable_suggestion())
                                   : recipe.status();
    if (!added.ok()) {
      context.ReportNote(absl::StrCat("the suggestion of bits has no recipe: ",
                                      added.message()));
    }
  }
  report.set_baseline(assignment.baseline_name());
  report.set_baseline_digest(assignment.baseline_digest());
  *evaluation->add_attributions() = std::move(report);
  TrimFreedMemory();
  return absl::OkStatus();
}

void AddMeasurementMetrics(const v1::Evaluation& evaluation,
                           v1::JobResult* result) {
  auto& metrics = *result->mutable_metrics();
  for (const v1::EfficiencyReport& report : evaluation.efficiencies()) {
    const std::string prefix = absl::StrCat(report.metric(), "/");
    const v1::ModelEfficiency& target = report.target();
    metrics[prefix + "prompt_tokens_per_second"] = target.prompt().mean();
    metrics[prefix + "generated_tokens_per_second"] =
        target.generation().mean();
    metrics[prefix + "first_token_seconds"] = target.first_token().mean();
    if (report.has_generation_ratio()) {
      metrics[prefix + "prompt_speed_ratio"] = report.prompt_ratio().ratio();
      metrics[prefix + "generation_speed_ratio"] =
          report.generation_ratio().ratio();
    }
  }
  for (const v1::AttributionReport& report : evaluation.attributions()) {
    const std::string prefix = absl::StrCat(report.metric(), "/");
    metrics[prefix + "mean_kl"] = report.kl().mean();
    metrics[prefix + "delta_nll"] = report.delta_nll().mean();
    metrics[prefix + "kl_additivity_residual"] =
        report.kl_additivity_residual().mean();
  }
}

}  // namespace quantd
