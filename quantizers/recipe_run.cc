#include "quantizers/recipe_run.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "google/protobuf/util/json_util.h"
#include "models/checkpoint_writer.h"
#include "models/compressed_linear.h"
#include "models/json_text.h"
#include "models/network/block_plan.h"
#include "models/network/tensor_loader.h"
#include "nlohmann/json.hpp"
#include "quantizers/calibration_flow.h"
#include "quantizers/compiled_recipe.h"
#include "quantizers/layer_error.h"
#include "quantizers/model_survey.h"
#include "quantizers/recipe.h"
#include "quantizers/run_progress.h"
#include "quantizers/run_workspace.h"
#include "quantizers/stage_pipeline.h"
#include "quantizers/statistics_store.h"

namespace quantd {
namespace {

constexpr char kArtifactFormat[] = "quantd-artifact.v1";

// Bumped when the same plan would lead to other bytes: blocks of an earlier
// build must not be continued then.
constexpr int kNumerics = 6;

absl::StatusOr<nlohmann::json> RecipeToJson(const v1::Recipe& recipe) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(recipe, &text, options)
           .ok()) {
    return absl::InternalError("the recipe has no JSON form");
  }
  return ParseJson(text, "recipe");
}

// The whole run: one object per RunRecipe() call.
class Runner {
 public:
  // `model` is that of the run, or what a stage made of it.
  Runner(const RecipeRun& run, const Model& model,
         const CalibrationWindows& calibration,
         const std::string& calibration_digest, RunWorkspace workspace,
         ExecutionContext& ctx)
      : run_(run),
        model_(model),
        recipe_(*run.recipe),
        workspace_(std::move(workspace)),
        writer_(run.recipe->network_tuning() == nullptr
                    ? workspace_.artifact_directory()
                    : workspace_.untuned_directory(),
                model_.checkpoint(), model_.block_count() + 1),
        ctx_(ctx),
        progress_(model_.block_count(), reconstructs(),
                  recipe_.network_tuning() != nullptr, ctx),
        flow_(model_, calibration, ActivationsOf(run)),
        original_flow_(model_, calibration, ActivationsOf(run)),
        original_inputs_(model_, calibration, ActivationsOf(run)),
        windows_(calibration),
        sensitivity_(workspace_.sensitivity_directory()),
        statistics_(run.statistics_directory, run.statistics_bytes),
        common_key_(CommonKey(run, calibration_digest, ctx)) {}

  absl::StatusOr<RecipeOutcome> Run() {
    RETURN_IF_ERROR(Survey());
    RETURN_IF_ERROR(Differentiate());
    for (int k = 0; k < model_.block_count(); ++k) {
      RETURN_IF_ERROR(Annotate(RunOneBlock(k), "block ", k));
    }
    progress_.Block("write", model_.block_count(), "");
    RETURN_IF_ERROR(
        writer_.WriteShard(model_.block_count(), {}, model_.OtherTensors()));
    RETURN_IF_ERROR(writer_.Finish(QuantizationConfig()));
    if (recipe_.network_tuning() != nullptr) {
      RETURN_IF_ERROR(Annotate(TuneNetwork(), "distill"));
    }
    RETURN_IF_ERROR(WriteSummary());
    RecipeOutcome outcome;
    outcome.artifact_directory = workspace_.artifact_directory();
    outcome.bits_per_weight = BitsPerWeight();
    outcome.compressed_weights = total_.weights;
    outcome.layers = total_.reports;
    outcome.blocks = reconstructions_;
    outcome.tuning = tuning_;
    outcome.resumed_blocks = resumed_blocks_;
    outcome.spilled_bytes = flow_.spilled_bytes() +
                            original_flow_.spilled_bytes() +
                            original_inputs_.spilled_bytes();
    outcome.reused_statistics = reused_statistics_;
    return outcome;
  }

 private:
  bool calibrates() const { return recipe_.needs().any(); }

  bool on_original() const { return recipe_.calibrates_on_original(); }

  bool reconstructs() const {
    return recipe_.block_reconstruction() != nullptr;
  }

  bool wants_original_inputs() const {
    return reconstructs() &&
           recipe_.block_reconstruction()->wants_original_inputs();
  }

  // Flows share the memory.
  ActivationOptions ActivationsOf(const RecipeRun& run) const {
    const uint64_t flows = 1u + reconstructs() + wants_original_inputs();
    return {run.activation_memory_bytes / flows,
            workspace_.scratch_directory()};
  }

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

  // Brings the calibration windows in front of block k.
  absl::Status Advance(int k) {
    if (flow_.position() < 0) RETURN_IF_ERROR(flow_.Start(ctx_));
    while (flow_.position() < k) {
      RETURN_IF_ERROR(ctx_.CheckCancelled());
      const int at = flow_.position();
      ASSIGN_OR_RETURN(const std::unique_ptr<Block> block,
                       model_.LoadBlock(at, ctx_));
      progress_.Block("resume", at, block->name());
      if (!on_original()) RETURN_IF_ERROR(LoadCompressed(at, *block));
      RETURN_IF_ERROR(flow_.Pass(*block, ctx_));
    }
    return absl::OkStatus();
  }

  // Brings the windows of the original network behind block k, which is
  // `block`, and those of the compressed one in front of it.
  absl::Status AdvanceBoth(int k, Block& block) {
    RETURN_IF_ERROR(Advance(k));
    if (original_flow_.position() < 0) {
      RETURN_IF_ERROR(original_flow_.Start(ctx_));
    }
    while (original_flow_.position() < k) {
      RETURN_IF_ERROR(ctx_.CheckCancelled());
      const int at = original_flow_.position();
      ASSIGN_OR_RETURN(const std::unique_ptr<Block> earlier,
                       model_.LoadBlock(at, ctx_));
      progress_.Block("resume", at, earlier->name());
      RETURN_IF_ERROR(original_flow_.Pass(*earlier, ctx_));
    }
    if (wants_original_inputs()) {
      RETURN_IF_ERROR(original_inputs_.CopyFrom(original_flow_));
    }
    return original_flow_.Pass(block, ctx_);
  }

  absl::Status RunOneBlock(int k) {
    RETURN_IF_ERROR(ctx_.CheckCancelled());
    std::optional<BlockRecord> record =
        workspace_.FindBlock(k, writer_.ShardPath(k));
    if (record.has_value()) return TakeOver(k, *std::move(record));
    if (!calibrates()) return CompressLayerByLayer(k);
    progress_.Block("load", k, "");
    ASSIGN_OR_RETURN(const std::unique_ptr<Block> block,
                     model_.LoadBlock(k, ctx_));
    RETURN_IF_ERROR(Compress(k, *block));
    // What the block passes on, while it is in memory. On the original network
    // it is loaded again when it is needed, which may be never.
    if (on_original() || flow_.position() != k ||
        k + 1 == model_.block_count()) {
      return absl::OkStatus();
    }
    return flow_.Pass(*block, ctx_);
  }

  absl::Status TakeOver(int k, BlockRecord record) {
    ++resumed_blocks_;
    ctx_.ReportNote(absl::StrCat("block ", k,
                                 " taken over from an earlier "
                                 "attempt"));
    Append(std::move(record));
    return absl::OkStatus();
  }

  // Puts the compressed layers of finished block k on `block`.
  absl::Status LoadCompressed(int k, Block& block) {
    ASSIGN_OR_RETURN(const auto shard,
                     SafetensorsFile::Open(writer_.ShardPath(k)));
    auto find =
        [&](absl::string_view name) -> absl::StatusOr<const StoredTensor*> {
      const auto it = shard->tensors().find(std::string(name));
      if (it == shard->tensors().end()) {
        return absl::NotFoundError(
            absl::StrCat(shard->path(), ": no tensor ", name));
      }
      return &it->second;
    };
    for (Linear& layer : block.linears()) {
      const auto header = total_.headers.find(layer.name());
      if (header == total_.headers.end()) continue;
      ASSIGN_OR_RETURN(auto compressed,
                       LoadCompressedLinear(find, layer.name(), *header,
                                            layer.rows(), layer.cols()));
      layer.SetCompressed(std::move(compressed), ctx_);
    }
    return absl::OkStatus();
  }

  // Without calibration no layer needs another: one at a time is in memory.
  absl::Status CompressLayerByLayer(int k) {
    const BlockPlan plan = PlanBlock(model_.description(), k);
    FinishedBlock finished;
    finished.copied = StoredNamesOfOthers(model_.checkpoint(), plan);
    for (size_t i = 0; i < plan.linears.size(); ++i) {
      const LinearPlan& linear = plan.linears[i];
      if (recipe_.StagesOf(linear.name).empty()) {
        finished.copied.push_back(linear.name + ".weight");
        continue;
      }
      progress_.Block(
          "quantize", k, linear.name,
          static_cast<double>(i) / static_cast<double>(plan.linears.size()));
      ASSIGN_OR_RETURN(Linear layer,
                       LoadLinear(model_.checkpoint(), linear, ctx_));
      ASSIGN_OR_RETURN(auto reports, RunStages(recipe_.StagesOf(linear.name), k,
                                               {&layer}, nullptr, {}, ctx_));
      Keep(std::move(reports), &finished.record);
      Collect(layer, &finished);
    }
    return Write(k, plan.name, std::move(finished));
  }

  absl::Status Compress(int k, Block& block) {
    std::map<std::string, Tensor> originals;
    if (reconstructs()) {
      RETURN_IF_ERROR(AdvanceBoth(k, block));
      for (const Linear& layer : block.linears()) {
        if (recipe_.StagesOf(layer.name()).empty()) continue;
        originals[layer.name()] = layer.weight();
      }
    }
    sensitivities_.clear();
    if (differentiates()) {
      ASSIGN_OR_RETURN(sensitivities_, sensitivity_.Read(k));
    }
    const int sets = static_cast<int>(block.linear_sets().size());
    // On the original network all sets come before the first is compressed.
    const int step = recipe_.gathers_per_set() ? 1 : sets;
    FinishedBlock finished;
    finished.copied = block.OtherTensors();
    token_weights_.reset();
    // Later the block is no longer in float weights.
    if (step < sets) RETURN_IF_ERROR(WeighTokens(k, block));
    for (int first = 0; first < sets; first += step) {
      if (!CompressesAny(block, first, first + step)) continue;
      progress_.Compress("calibrate", k, block.name(),
                         static_cast<double>(first) / sets);
      // Each set's statistics go as soon as it is done: they can be larger
      // than the block.
      const bool untouched =
          on_original() || (total_.headers.empty() && first == 0);
      ASSIGN_OR_RETURN(
          auto statistics,
          Statistics(k, block, first, first + step - 1, untouched));
      for (int set = first; set < first + step; ++set) {
        auto own = std::make_shared<const LayerStatistics>(
            std::move(statistics.at(set)));
        statistics.erase(set);
        RETURN_IF_ERROR(
            CompressSet(k, block, set, std::move(own), &finished.record));
      }
    }
    if (reconstructs()) {
      RETURN_IF_ERROR(Reconstruct(k, block, originals, &finished.record));
    }
    for (const Linear& layer : block.linears()) Collect(layer, &finished);
    return Write(k, block.name(), std::move(finished));
  }

  absl::Status Reconstruct(int k, Block& block,
                           const std::map<std::string, Tensor>& originals,
                           BlockRecord* record) {
    if (originals.empty()) return absl::OkStatus();
    BlockToReconstruct task;
    task.block = &block;
    task.index = k;
    task.originals = &originals;
    task.inputs = &flow_.hidden();
    task.targets = &original_flow_.hidden();
    if (wants_original_inputs()) {
      task.original_inputs = &original_inputs_.hidden();
    }
    task.window_tokens = run_.calibration.window_tokens;
    ASSIGN_OR_RETURN(BlockReport report,
                     recipe_.block_reconstruction()->Reconstruct(
                         task,
                         [&](const TuningStep& made, int64_t steps) {
                           progress_.Tune(k, block.name(), made, steps);
                         },
                         ctx_));
    ctx_.ReportNote(
        absl::StrCat(report.block, ": output error ", report.loss_before,
                     " before tuning, ", report.loss_after, " after",
                     report.kept ? "" : "; the block stays as it was"));
    if (report.kept) {
      for (LayerReport& layer : record->reports) {
        for (const Linear& tuned : block.linears()) {
          if (tuned.name() != layer.layer) continue;
          layer.bits_per_weight = tuned.compressed()->bits_per_weight();
          layer.weight_error =
              RelativeWeightError(originals.at(layer.layer), tuned.weight());
          // The statistics are gone.
          layer.output_error = -1;
        }
      }
    }
    record->reconstruction = std::move(report);
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
    for (LayerReport& report : total_.reports) reports[report.layer] = &report;
    for (int k = 0; k < model_.block_count(); ++k) {
      RETURN_IF_ERROR(ctx_.CheckCancelled());
      ASSIGN_OR_RETURN(const auto block, tuning.ResultBlock(k));
      ASSIGN_OR_RETURN(const auto original, model_.LoadBlock(k, ctx_));
      FinishedBlock finished;
      finished.copied = block->OtherTensors();
      for (size_t i = 0; i < block->linears().size(); ++i) {
        const Linear& layer = block->linears()[i];
        Collect(layer, &finished);
        const auto report = reports.find(layer.name());
        if (report == reports.end() || !outcome.kept) continue;
        report->second->weight_error = RelativeWeightError(
            original->linears()[i].weight(), layer.weight());
        report->second->output_error = -1;
      }
      RETURN_IF_ERROR(writer.WriteShard(k, finished.tensors, finished.copied));
      total_.headers.update(finished.record.headers);
    }
    RETURN_IF_ERROR(
        writer.WriteShard(model_.block_count(), {}, model_.OtherTensors()));
    return writer.Finish(QuantizationConfig());
  }

  // The statistics of sets first .. last of block k. While nothing in front of
  // them is compressed (`untouched`) they are anyone's: found in the store, or
  // left there for the next recipe.
  absl::StatusOr<std::map<int, LayerStatistics>> Statistics(int k, Block& block,
                                                            int first, int last,
                                                            bool untouched) {
    std::map<int, LayerStatistics> result;
    if (!recipe_.needs().gathers()) {
      for (int set = first; set <= last; ++set) result[set] = LayerStatistics();
      return result;
    }
    const bool shared = untouched && statistics_.enabled();
    for (int set = first; set <= last && shared; ++set) {
      const int layer = block.linear_sets()[static_cast<size_t>(set)][0];
      auto found = statistics_.Find(
          KeyOf(k, set), block.linears()[static_cast<size_t>(layer)].cols());
      if (!found.has_value()) break;
      result[set] = *std::move(found);
    }
    if (static_cast<int>(result.size()) == last - first + 1) {
      reused_statistics_ += last - first + 1;
      return result;
    }
    result.clear();
    RETURN_IF_ERROR(Advance(k));
    if (!token_weights_.has_value()) RETURN_IF_ERROR(WeighTokens(k, block));
    ASSIGN_OR_RETURN(result, flow_.Gather(block, first, last, recipe_.needs(),
                                          *token_weights_, ctx_));
    for (const auto& [set, statistics] : result) {
      if (!shared) break;
      const absl::Status kept = statistics_.Put(KeyOf(k, set), statistics);
      if (!kept.ok()) {
        ctx_.ReportWarning(absl::StrCat(
            "statistics are not kept for other recipes: ", kept.message()));
        break;
      }
    }
    return result;
  }

  // How calibration tokens count in block k.
  absl::Status WeighTokens(int k, Block& block) {
    const TokenWeighting& weighting = recipe_.needs().token_weighting;
    if (weighting.uniform()) {
      token_weights_.emplace();
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(Advance(k));
    ASSIGN_OR_RETURN(token_weights_, flow_.WeighTokens(block, weighting, ctx_));
    return absl::OkStatus();
  }

  // What the keys of all sets have in common.
  static StatisticsKey CommonKey(const RecipeRun& run,
                                 const std::string& calibration_digest,
                                 const ExecutionContext& ctx) {
    StatisticsKey key;
    // A transformed checkpoint's own digest says nothing of its weights.
    key.model_digest = run.model->checkpoint().digest();
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

  StatisticsKey KeyOf(int block, int set) const {
    StatisticsKey key = common_key_;
    key.block = block;
    key.set = set;
    return key;
  }

  // Whether a layer of the sets [first, end) goes through a stage.
  bool CompressesAny(Block& block, int first, int end) const {
    for (int set = first; set < end; ++set) {
      for (int index : block.linear_sets()[static_cast<size_t>(set)]) {
        const Linear& layer = block.linears()[static_cast<size_t>(index)];
        if (!recipe_.StagesOf(layer.name()).empty()) return true;
      }
    }
    return false;
  }

  // Neighbours under the same rule go through their stages together, which
  // lets a stage make what they share once.
  absl::Status CompressSet(int k, Block& block, int set,
                           std::shared_ptr<const LayerStatistics> statistics,
                           BlockRecord* record) {
    const std::vector<int>& indices =
        block.linear_sets()[static_cast<size_t>(set)];
    size_t i = 0;
    while (i < indices.size()) {
      std::vector<Linear*> layers;
      const CompiledRecipe::Stages* stages = nullptr;
      for (; i < indices.size(); ++i) {
        Linear& layer = block.linears()[static_cast<size_t>(indices[i])];
        const CompiledRecipe::Stages& own = recipe_.StagesOf(layer.name());
        if (stages != nullptr && stages != &own) break;
        stages = &own;
        layers.push_back(&layer);
      }
      if (stages->empty()) continue;
      progress_.Compress(
          "quantize", k, layers[0]->name(),
          (set + 0.5) / static_cast<double>(block.linear_sets().size()));
      ASSIGN_OR_RETURN(auto reports, RunStages(*stages, k, layers, statistics,
                                               sensitivities_, ctx_));
      Keep(std::move(reports), record);
    }
    return absl::OkStatus();
  }

  static void Keep(std::vector<LayerReport> reports, BlockRecord* record) {
    std::move(reports.begin(), reports.end(),
              std::back_inserter(record->reports));
  }

  // What a block's shard is made of.
  struct FinishedBlock {
    BlockRecord record;
    std::vector<TensorToWrite> tensors;
    std::vector<std::string> copied;  // as the source has them
  };

  static void Collect(const Linear& layer, FinishedBlock* finished) {
    if (layer.compressed() == nullptr) {
      finished->copied.push_back(layer.name() + ".weight");
      return;
    }
    BlockRecord& record = finished->record;
    record.headers[layer.name()] =
        layer.compressed()->Save(layer.name(), &finished->tensors);
    record.stored_bits += layer.compressed()->stored_bits();
    record.weights += static_cast<uint64_t>(layer.rows() * layer.cols());
  }

  absl::Status Write(int k, const std::string& name, FinishedBlock finished) {
    progress_.Block("write", k, name, 1.0);
    RETURN_IF_ERROR(writer_.WriteShard(k, finished.tensors, finished.copied));
    BlockRecord& record = finished.record;
    ASSIGN_OR_RETURN(record.shard_digest,
                     Sha256HexOfFile(writer_.ShardPath(k)));
    RETURN_IF_ERROR(workspace_.WriteBlock(k, record));
    ctx_.ReportNote(
        absl::StrCat("block ", k, " of ", model_.block_count(), " written"));
    Append(std::move(record));
    return absl::OkStatus();
  }

  void Append(BlockRecord record) {
    total_.headers.update(record.headers);
    total_.stored_bits += record.stored_bits;
    total_.weights += record.weights;
    std::move(record.reports.begin(), record.reports.end(),
              std::back_inserter(total_.reports));
    if (record.reconstruction.has_value()) {
      reconstructions_.push_back(*std::move(record.reconstruction));
    }
  }

  double BitsPerWeight() const {
    return total_.weights == 0 ? 0
                               : static_cast<double>(total_.stored_bits) /
                                     static_cast<double>(total_.weights);
  }

  nlohmann::json QuantizationConfig() const {
    return {{"quant_method", kQuantMethod},
            {"format", kArtifactFormat},
            {"recipe", recipe_.source().name()},
            {"bits_per_weight", BitsPerWeight()},
            {kLayerHeadersKey, total_.headers}};
  }

  // quantd.json: everything needed to know what this is and to make it again.
  // No times or host names, so that equal requests give equal bytes.
  absl::Status WriteSummary() const {
    ASSIGN_OR_RETURN(const nlohmann::json recipe,
                     RecipeToJson(recipe_.source()));
    nlohmann::json layers = nlohmann::json::array();
    for (const LayerReport& report : total_.reports) {
      layers.push_back(ReportToJson(report));
    }
    nlohmann::json summary = {{"format", kArtifactFormat},
                              {"quantd_version", std::string(Version())},
                              {"device", std::string(ctx_.device().name())},
                              {"recipe", recipe},
                              {"recipe_digest", RecipeDigest(recipe_.source())},
                              {"source",
                               {{"name", run_.provenance.source_name},
                                {"digest", run_.provenance.source_digest}}},
                              {"bits_per_weight", BitsPerWeight()},
                              {"compressed_weights", total_.weights},
                              {"layers", std::move(layers)}};
    if (!surveys_.empty()) summary["surveys"] = surveys_;
    if (tuning_.has_value()) {
      summary["distillation"] = {
          {"divergence_before", tuning_->divergence_before},
          {"divergence_after", tuning_->divergence_after},
          {"kept", tuning_->kept},
          {"best_step", tuning_->best_step},
          {"changed_codes", tuning_->changed_codes}};
    }
    if (!reconstructions_.empty()) {
      nlohmann::json& blocks = summary["reconstructions"];
      for (const BlockReport& block : reconstructions_) {
        blocks.push_back(ReportToJson(block));
      }
    }
    if (calibrates()) {
      summary["calibration"] = {
          {"text_digest", run_.provenance.calibration_digest},
          {"windows", run_.calibration.count()},
          {"window_tokens", run_.calibration.window_tokens},
          {"seed", run_.provenance.calibration_seed}};
    }
    return WriteFileDurably(workspace_.artifact_directory() + "/quantd.json",
                            summary.dump(2) + "\n");
  }

  const RecipeRun& run_;
  const Model& model_;
  const CompiledRecipe& recipe_;
  const RunWorkspace workspace_;
  const CheckpointWriter writer_;
  ExecutionContext& ctx_;
  RunProgress progress_;
  CalibrationFlow flow_;
  // Of the original network, where blocks are reconstructed.
  CalibrationFlow original_flow_;
  CalibrationFlow original_inputs_;  // in front of the block at work
  const CalibrationWindows& windows_;
  const WeightSensitivity sensitivity_;
  std::map<std::string, Tensor> sensitivities_;  // of the block at work
  const StatisticsStore statistics_;
  const StatisticsKey common_key_;
  // Of the block at work, as soon as they are known.
  std::optional<std::vector<float>> token_weights_;
  nlohmann::json surveys_ = nlohmann::json::array();
  std::vector<BlockReport> reconstructions_;
  std::optional<NetworkTuningOutcome> tuning_;
  BlockRecord total_;  // of all blocks so far
  int resumed_blocks_ = 0;
  int reused_statistics_ = 0;
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
  const nlohmann::json plan = {
      {"format", kArtifactFormat},
      {"numerics", kNumerics},
      {"quantd_version", std::string(Version())},
      {"device", std::string(ctx.device().name())},
      {"compute_type", static_cast<int>(ctx.compute_type())},
      {"recipe", RecipeDigest(recipe.source())},
      {"source", checkpoint.digest()},
      {"calibration", tokens_digest},
      {"window_tokens", run.calibration.window_tokens}};
  ASSIGN_OR_RETURN(RunWorkspace workspace,
                   RunWorkspace::Open(run.workspace, plan));
  const CalibrationWindows calibration =
      RolledCopies(run.calibration, recipe.needs().window_copies);
  const CheckpointTransform* const transform = recipe.checkpoint_transform();
  if (transform == nullptr) {
    return Runner(run, *run.model, calibration, tokens_digest,
                  std::move(workspace), ctx)
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
  return Runner(run, *model, calibration, tokens_digest, std::move(workspace),
                ctx)
      .Run();
}

}  // namespace quantd
