#include "quantizers/recipe_run.h"

#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "models/checkpoint_writer.h"
#include "nlohmann/json.hpp"
#include "quantizers/artifact_summary.h"
#include "quantizers/block_compression.h"
#include "quantizers/compiled_recipe.h"
#include "quantizers/finished_blocks.h"
#include "quantizers/layer_error.h"
#include "quantizers/model_survey.h"
#include "quantizers/network_tuning.h"
#include "quantizers/recipe.h"
#include "quantizers/run_flows.h"
#include "quantizers/run_progress.h"
#include "quantizers/run_statistics.h"
#include "quantizers/run_workspace.h"
#include "quantizers/statistics_store.h"
#include "quantizers/weight_sensitivity.h"

namespace quantd {
namespace {

// Bumped when the same plan would lead to other bytes: blocks of an earlier
// build must not be continued then.
constexpr int kNumerics = 6;

// What the keys of all statistics of the run have in common.
StatisticsKey CommonKey(const RecipeRun& run, const std::string& source_digest,
                        const std::string& calibration_digest,
                        const ExecutionContext& ctx) {
  StatisticsKey key;
  // A transformed checkpoint is named by what it was made of.
  key.model_digest = source_digest;
  if (const auto* transform = run.recipe->checkpoint_transform()) {
    absl::StrAppend(&key.model_digest, " ", transform->Describe());
  }
  key.calibration_digest = calibration_digest;
  key.arithmetic =
      absl::StrCat(ctx.device().name(), " ",
                   static_cast<int>(ctx.compute_type()), " ", kNumerics);
  key.request = run.recipe->needs();
  // When the statistics are gathered is not what they are.
  key.request.per_set = false;
  return key;
}

// The whole run: one object per RunRecipe() call.
class Runner {
 public:
  // `model` is that of the run, or what a stage made of it.
  Runner(const RecipeRun& run, const Model& model,
         const CalibrationWindows& calibration, StatisticsKey statistics_key,
         RunWorkspace workspace, ExecutionContext& ctx)
      : run_(run),
        model_(model),
        recipe_(*run.recipe),
        workspace_(std::move(workspace)),
        finished_(model_, workspace_,
                  recipe_.network_tuning() == nullptr
                      ? workspace_.artifact_directory()
                      : workspace_.untuned_directory()),
        ctx_(ctx),
        progress_(model_.block_count(),
                  recipe_.block_reconstruction() != nullptr,
                  recipe_.network_tuning() != nullptr, ctx),
        flows_(model_, recipe_, calibration,
               {run.activation_memory_bytes, workspace_.scratch_directory()},
               finished_, progress_),
        statistics_({run.statistics_directory, run.statistics_bytes},
                    std::move(statistics_key), recipe_.needs(), flows_),
        windows_(calibration),
        sensitivity_(workspace_.sensitivity_directory()),
        compression_(model_, recipe_, run.calibration.window_tokens,
                     sensitivity_, flows_, statistics_, finished_, progress_) {}

  absl::StatusOr<RecipeOutcome> Run() {
    RETURN_IF_ERROR(Survey());
    RETURN_IF_ERROR(Differentiate());
    for (int k = 0; k < model_.block_count(); ++k) {
      RETURN_IF_ERROR(Annotate(compression_.Run(k, ctx_), "block ", k));
    }
    progress_.Block("write", model_.block_count(), "");
    RETURN_IF_ERROR(Finish(finished_.writer()));
    if (recipe_.network_tuning() != nullptr) {
      RETURN_IF_ERROR(Annotate(TuneNetwork(), "distill"));
    }
    RecipeOutcome outcome;
    outcome.artifact_directory = workspace_.artifact_directory();
    outcome.bits_per_weight = finished_.total().bits_per_weight();
    outcome.compressed_weights = finished_.total().weights;
    outcome.layers = finished_.total().reports;
    outcome.blocks = finished_.reconstructions();
    outcome.tuning = tuning_;
    outcome.resumed_blocks = finished_.taken_over();
    outcome.spilled_bytes = flows_.spilled_bytes();
    outcome.reused_statistics = statistics_.reused();
    RETURN_IF_ERROR(WriteArtifactSummary(run_, outcome, surveys_, ctx_));
    return outcome;
  }

 private:
  // Lets stages that want it see all layers, unless an earlier attempt did.
  absl::Status Survey() {
    int index = 0;
    for (const CompiledRecipe::Stages& stages : recipe_.stage_lists()) {
      for (const std::unique_ptr<Stage>& stage : stages) {
        if (stage->survey_passes() == 0) continue;
        RETURN_IF_ERROR(Annotate(SurveyFor(*stage, stages, index++), "survey ",
                                 stage->name()));
      }
    }
    return absl::OkStatus();
  }

  absl::Status SurveyFor(Stage& stage, const CompiledRecipe::Stages& stages,
                         int index) {
    uint64_t visits = 0;
    ModelSurvey survey(
        model_, recipe_, stages,
        [&](uint64_t done, const std::string& layer) {
          progress_.BeforeBlocks("survey", done, visits, layer);
        },
        ctx_);
    if (survey.layers() == 0) return absl::OkStatus();
    visits = survey.layers() * static_cast<uint64_t>(stage.survey_passes());
    std::optional<nlohmann::json> found = workspace_.FindSurvey(index);
    if (!found.has_value() || !stage.UseSurvey(*found).ok()) {
      ASSIGN_OR_RETURN(found, stage.Survey(survey, ctx_));
      RETURN_IF_ERROR(workspace_.WriteSurvey(index, *found));
      RETURN_IF_ERROR(stage.UseSurvey(*found));
      progress_.Ended();
    }
    surveys_.push_back({{"stage", std::string(stage.name())},
                        {"layers", survey.layers()},
                        {"found", *std::move(found)}});
    return absl::OkStatus();
  }

  bool differentiates() const {
    return recipe_.needs().sensitivity.measure !=
           SensitivityRequest::Measure::kNone;
  }

  // The sensitivity of the loss to all weights, unless an earlier attempt
  // found it.
  absl::Status Differentiate() {
    if (!differentiates() || sensitivity_.complete()) return absl::OkStatus();
    RETURN_IF_ERROR(Annotate(
        sensitivity_.Compute(
            model_, windows_, recipe_.needs().sensitivity,
            run_.activation_memory_bytes,
            [&](double share) {
              const auto passes =
                  static_cast<uint64_t>(2 * model_.block_count());
              progress_.BeforeBlocks(
                  "differentiate",
                  static_cast<uint64_t>(share * static_cast<double>(passes) +
                                        0.5),
                  passes, "");
            },
            ctx_),
        "sensitivity"));
    progress_.Ended();
    return absl::OkStatus();
  }

  // Tunes the network that the blocks' pass made, and writes the artifact.
  absl::Status TuneNetwork() {
    ASSIGN_OR_RETURN(std::shared_ptr<const Checkpoint> untuned,
                     Checkpoint::Open(workspace_.untuned_directory()));
    ASSIGN_OR_RETURN(const auto student, Model::Open(untuned));
    const NetworkTuningOptions& options = *recipe_.network_tuning();
    NetworkTuning tuning(model_, *student, windows_, options, ctx_);
    ASSIGN_OR_RETURN(const NetworkTuningOutcome outcome,
                     tuning.Run([&](const TuningStep& made) {
                       progress_.TuneNetwork(made, options.schedule.steps);
                     }));
    ctx_.ReportNote(absl::StrCat(
        "divergence from the original, on windows held out: ",
        outcome.divergence_before, " before tuning, ", outcome.divergence_after,
        " after", outcome.kept ? "" : "; the network stays as it was"));
    tuning_ = outcome;
    const CheckpointWriter writer(workspace_.artifact_directory(), *untuned,
                                  model_.block_count() + 1);
    std::map<std::string, LayerReport*> reports;
    for (LayerReport& report : finished_.total().reports) {
      reports[report.layer] = &report;
    }
    for (int k = 0; k < model_.block_count(); ++k) {
      RETURN_IF_ERROR(ctx_.CheckCancelled());
      ASSIGN_OR_RETURN(const auto block, tuning.ResultBlock(k));
      ASSIGN_OR_RETURN(const auto original, model_.LoadBlock(k, ctx_));
      FinishedBlock finished;
      finished.copied = block->OtherTensors();
      for (size_t i = 0; i < block->linears().size(); ++i) {
        const Linear& layer = block->linears()[i];
        finished.Collect(layer);
        const auto report = reports.find(layer.name());
        if (report == reports.end() || !outcome.kept) continue;
        report->second->weight_error = RelativeWeightError(
            original->linears()[i].weight(), layer.weight());
        report->second->output_error = -1;
      }
      RETURN_IF_ERROR(writer.WriteShard(k, finished.tensors, finished.copied));
      finished_.total().headers.update(finished.record.headers);
    }
    return Finish(writer);
  }

  // What a checkpoint has beside its blocks.
  absl::Status Finish(const CheckpointWriter& writer) const {
    RETURN_IF_ERROR(
        writer.WriteShard(model_.block_count(), {}, model_.OtherTensors()));
    return writer.Finish(
        QuantizationConfig(recipe_.source(), finished_.total()));
  }

  const RecipeRun& run_;
  const Model& model_;
  const CompiledRecipe& recipe_;
  const RunWorkspace workspace_;
  FinishedBlocks finished_;
  ExecutionContext& ctx_;
  RunProgress progress_;
  RunFlows flows_;
  RunStatistics statistics_;
  const CalibrationWindows& windows_;
  const WeightSensitivity sensitivity_;
  BlockCompression compression_;
  nlohmann::json surveys_ = nlohmann::json::array();
  std::optional<NetworkTuningOutcome> tuning_;
};

}  // namespace

absl::StatusOr<RecipeOutcome> RunRecipe(const RecipeRun& run,
                                        ExecutionContext& ctx) {
  const Checkpoint& checkpoint = run.model->checkpoint();
  if (checkpoint.config().contains("quantization_config")) {
    return absl::InvalidArgumentError(
        absl::StrCat(checkpoint.directory(),
                     " is compressed already; recipes start "
                     "from the original checkpoint"));
  }
  const CompiledRecipe& recipe = *run.recipe;
  RETURN_IF_ERROR(recipe.CheckFits(run.model->description()));
  std::string tokens_digest;
  if (recipe.needs().any()) {
    if (run.calibration.count() == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "method ", recipe.source().name(), " needs calibration text"));
    }
    tokens_digest = CalibrationDigest(run.calibration);
  }
  ASSIGN_OR_RETURN(const std::string source_digest,
                   checkpoint.ContentDigest(ctx));
  const nlohmann::json plan = {
      {"format", kArtifactFormat},
      {"numerics", kNumerics},
      {"quantd_version", std::string(Version())},
      {"device", std::string(ctx.device().name())},
      {"compute_type", static_cast<int>(ctx.compute_type())},
      {"recipe", RecipeDigest(recipe.source())},
      {"source", source_digest},
      {"calibration", tokens_digest},
      {"window_tokens", run.calibration.window_tokens}};
  ASSIGN_OR_RETURN(RunWorkspace workspace,
                   RunWorkspace::Open(run.workspace, plan));
  const CalibrationWindows calibration =
      RolledCopies(run.calibration, recipe.needs().window_copies);
  const StatisticsKey key = CommonKey(run, source_digest, tokens_digest, ctx);
  const CheckpointTransform* const transform = recipe.checkpoint_transform();
  if (transform == nullptr) {
    return Runner(run, *run.model, calibration, key, std::move(workspace), ctx)
        .Run();
  }
  const std::string& directory = workspace.transformed_directory();
  if (!workspace.transformed()) {
    RETURN_IF_ERROR(
        transform->Write(checkpoint, run.model->description(), directory, ctx));
    RETURN_IF_ERROR(workspace.MarkTransformed());
  }
  ASSIGN_OR_RETURN(auto transformed, Checkpoint::Open(directory));
  ASSIGN_OR_RETURN(const auto model, Model::Open(std::move(transformed)));
  return Runner(run, *model, calibration, key, std::move(workspace), ctx).Run();
}

}  // namespace quantd
