#include "jobs/quantize_job.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "google/protobuf/map.h"
#include "jobs/allocator.h"
#include "jobs/job_forecast.h"
#include "jobs/run_context.h"
#include "models/checkpoint.h"
#include "models/model.h"
#include "models/model_footprint.h"
#include "models/tokenizer.h"
#include "quantizers/calibration.h"
#include "quantizers/compiled_recipe.h"
#include "quantizers/recipe_run.h"

namespace quantd {
namespace {

absl::StatusOr<CalibrationWindows> LoadCalibration(
    const v1::Assignment& assignment, const ModelDescription& model,
    ExecutionContext& context) {
  const v1::Calibration& options =
      assignment.job().spec().quantize().calibration();
  ASSIGN_OR_RETURN(const std::string text, ReadAssignedText(assignment));
  ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                   LoadTokenizer(assignment.input_directory()));
  ASSIGN_OR_RETURN(const std::vector<int32_t> tokens,
                   tokenizer->EncodeWithBos(text));
  const int64_t window = CalibrationWindowTokens(options, model);
  if (model.context_tokens > 0 && window > model.context_tokens) {
    context.ReportWarning(absl::StrCat("calibration windows of ", window,
                                       " tokens exceed the model's "
                                       "context of ",
                                       model.context_tokens));
  }
  return DrawWindows(tokens, options.windows(), window, options.seed());
}

// Lists the files of the finished artifact with size and digest.
absl::Status DescribeFiles(const std::string& directory,
                           v1::Artifact* artifact) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(directory, error)) {
    names.push_back(entry.path().filename().string());
  }
  if (error) return ErrnoToStatus(error.value(), "list", directory);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(directory, "/", name);
    v1::ArtifactFile& file = *artifact->add_files();
    file.set_path(name);
    ASSIGN_OR_RETURN(*file.mutable_digest(), Sha256HexOfFile(path));
    const uint64_t size = std::filesystem::file_size(path, error);
    if (error) return ErrnoToStatus(error.value(), "stat", path);
    file.set_size_bytes(size);
    artifact->set_size_bytes(artifact->size_bytes() + size);
  }
  return absl::OkStatus();
}

// What tuning gained, where the recipe tunes.
void AddTuningMetrics(const RecipeOutcome& outcome,
                      google::protobuf::Map<std::string, double>& metrics) {
  if (!outcome.blocks.empty()) {
    double before = 0;
    double after = 0;
    double improved = 0;
    for (const BlockReport& block : outcome.blocks) {
      before += block.loss_before;
      after += block.kept ? block.loss_after : block.loss_before;
      improved += block.kept ? 1 : 0;
    }
    const double count = static_cast<double>(outcome.blocks.size());
    metrics["mean_block_loss_before"] = before / count;
    metrics["mean_block_loss_after"] = after / count;
    metrics["improved_blocks"] = improved;
    metrics["tuned_blocks"] = count;
  }
  if (outcome.tuning.has_value()) {
    metrics["held_out_divergence_before"] = outcome.tuning->divergence_before;
    metrics["held_out_divergence_after"] =
        outcome.tuning->kept ? outcome.tuning->divergence_after
                             : outcome.tuning->divergence_before;
    metrics["changed_codes"] = outcome.tuning->changed_codes;
  }
}

}  // namespace

absl::StatusOr<v1::AttemptSuccess> RunQuantizeJob(
    const v1::Assignment& assignment, ExecutionContext& context) {
  const absl::Time start = absl::Now();
  const v1::JobSpec& spec = assignment.job().spec();
  ApplyComputeType(spec, context);
  ProgressUpdate progress;
  progress.phase = "load";
  context.ReportProgress(progress);
  RecipeRun run;
  ASSIGN_OR_RETURN(std::shared_ptr<const Checkpoint> checkpoint,
                   Checkpoint::Open(assignment.input_directory()));
  ASSIGN_OR_RETURN(run.model, Model::Open(checkpoint));
  ASSIGN_OR_RETURN(CompiledRecipe recipe,
                   CompiledRecipe::Compile(assignment.recipe()));
  RETURN_IF_ERROR(recipe.CheckFits(run.model->description()));
  run.recipe = std::make_shared<const CompiledRecipe>(std::move(recipe));
  ASSIGN_OR_RETURN(const TextSize text, AssignedTextSize(assignment));
  const JobPlan plan = PlanQuantizeJob(
      *run.recipe, FootprintOf(*checkpoint, run.model->description()), spec,
      text, assignment.memory_bytes());
  ASSIGN_OR_RETURN(const uint64_t free_disk,
                   FreeDiskBytes(assignment.workspace()));
  RETURN_IF_ERROR(CheckForecast(plan.forecast, free_disk));
  run.activation_memory_bytes = plan.activation_memory_bytes;
  run.workspace = assignment.workspace();
  run.statistics_directory = assignment.statistics_directory();
  run.statistics_bytes = assignment.statistics_bytes();
  run.provenance.source_name = assignment.input_name();
  ASSIGN_OR_RETURN(run.provenance.source_digest,
                   checkpoint->ContentDigest(context));
  if (run.recipe->needs().any()) {
    ASSIGN_OR_RETURN(
        run.calibration,
        LoadCalibration(assignment, run.model->description(), context));
    run.provenance.calibration_digest = assignment.dataset_digest();
    run.provenance.calibration_seed = spec.quantize().calibration().seed();
    // Of the text and the tokenizer.
    TrimFreedMemory();
  }
  ASSIGN_OR_RETURN(const RecipeOutcome outcome, RunRecipe(run, context));

  v1::AttemptSuccess success;
  success.set_artifact_directory(outcome.artifact_directory);
  v1::Artifact& artifact = *success.mutable_artifact();
  artifact.set_kind(v1::Artifact::COMPRESSED_CHECKPOINT);
  artifact.set_source(assignment.input_name());
  artifact.set_recipe(assignment.recipe().name());
  artifact.set_bits_per_weight(outcome.bits_per_weight);
  RETURN_IF_ERROR(DescribeFiles(outcome.artifact_directory, &artifact));

  v1::JobResult& result = *success.mutable_result();
  result.set_resumed_blocks(static_cast<uint32_t>(outcome.resumed_blocks));
  result.set_wall_seconds(absl::ToDoubleSeconds(absl::Now() - start));
  auto& metrics = *result.mutable_metrics();
  metrics["bits_per_weight"] = outcome.bits_per_weight;
  metrics["compressed_weights"] =
      static_cast<double>(outcome.compressed_weights);
  metrics["size_bytes"] = static_cast<double>(artifact.size_bytes());
  if (outcome.spilled_bytes > 0) {
    metrics["spilled_activation_bytes"] =
        static_cast<double>(outcome.spilled_bytes);
  }
  metrics["reused_statistics"] = outcome.reused_statistics;
  double retries = 0;
  double output_error = 0;
  double weight_error = 0;
  int measured = 0;
  for (const LayerReport& layer : outcome.layers) {
    retries += layer.damping_retries;
    weight_error += layer.weight_error;
    if (layer.output_error >= 0) {
      output_error += layer.output_error;
      ++measured;
    }
  }
  metrics["damping_retries"] = retries;
  if (!outcome.layers.empty()) {
    metrics["mean_weight_error"] =
        weight_error / static_cast<double>(outcome.layers.size());
  }
  if (measured > 0) metrics["mean_output_error"] = output_error / measured;
  AddTuningMetrics(outcome, metrics);
  return success;
}

}  // namespace quantd
