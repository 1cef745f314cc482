#include "quantizers/recipe_run.h"

#include <algorithm>
#include <map>
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
#include "models/model.h"
#include "nlohmann/json.hpp"
#include "quantizers/layer_rules.h"
#include "quantizers/recipe.h"
#include "quantizers/run_workspace.h"
#include "quantizers/set_statistics.h"

namespace quantd {
namespace {

// Bumped when the same plan would lead to other bytes.
constexpr char kArtifactFormat[] = "quantd-artifact.v1";

// The stages a layer goes through, made once per distinct rule.
class StagesByRule {
 public:
  static absl::StatusOr<StagesByRule> Make(const v1::Recipe& recipe) {
    ASSIGN_OR_RETURN(LayerRules rules, LayerRules::Compile(recipe));
    StagesByRule result(std::move(rules));
    for (int rule = -1; rule < recipe.layer_rules_size(); ++rule) {
      std::vector<std::unique_ptr<Stage>> stages;
      for (const v1::Stage& options : result.rules_.StagesOf(rule)) {
        ASSIGN_OR_RETURN(std::unique_ptr<Stage> stage, NewStage(options));
        stages.push_back(std::move(stage));
      }
      result.stages_.push_back(std::move(stages));
    }
    return result;
  }

  int RuleOf(absl::string_view layer) const { return rules_.Match(layer); }

  // Empty: the layer stays in floating point.
  const std::vector<std::unique_ptr<Stage>>& StagesOf(int rule) const {
    return stages_[static_cast<size_t>(rule + 1)];
  }

  // The union over all rules.
  StatisticsRequest Needs() const {
    StatisticsRequest needs;
    for (const auto& list : stages_) {
      for (const auto& stage : list) {
        needs.second_moment |= stage->Needs().second_moment;
        needs.per_set |= stage->Needs().per_set;
      }
    }
    return needs;
  }

 private:
  explicit StagesByRule(LayerRules rules) : rules_(std::move(rules)) {}

  LayerRules rules_;
  std::vector<std::vector<std::unique_ptr<Stage>>> stages_;
};

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
  Runner(const RecipeRun& run, const Model& model, StagesByRule stages,
         RunWorkspace workspace, ExecutionContext& ctx)
      : run_(run),
        model_(model),
        stages_(std::move(stages)),
        needs_(stages_.Needs()),
        workspace_(std::move(workspace)),
        writer_(workspace_.artifact_directory(), model.checkpoint(),
                model.block_count() + 1),
        ctx_(ctx) {}

  absl::StatusOr<RecipeOutcome> Run() {
    if (needs_.any()) {
      const auto windows = SequenceBatch::Uniform(
          run_.calibration.count(), run_.calibration.window_tokens);
      ASSIGN_OR_RETURN(hidden_,
                       model_.Embed(run_.calibration.tokens, windows, ctx_));
    }
    for (int k = 0; k < model_.block_count(); ++k) {
      RETURN_IF_ERROR(Annotate(RunOneBlock(k), "block ", k));
    }
    Report("write", model_.block_count(), "");
    RETURN_IF_ERROR(
        writer_.WriteShard(model_.block_count(), {}, model_.OtherTensors()));
    RETURN_IF_ERROR(writer_.Finish(QuantizationConfig()));
    RETURN_IF_ERROR(WriteSummary());
    RecipeOutcome outcome;
    outcome.artifact_directory = workspace_.artifact_directory();
    outcome.bits_per_weight = BitsPerWeight();
    outcome.compressed_weights = total_.weights;
    outcome.layers = total_.reports;
    outcome.resumed_blocks = resumed_blocks_;
    return outcome;
  }

 private:
  absl::Status RunOneBlock(int k) {
    RETURN_IF_ERROR(ctx_.CheckCancelled());
    const bool last = k + 1 == model_.block_count();
    std::optional<BlockRecord> record =
        workspace_.FindBlock(k, writer_.ShardPath(k));
    // A finished block has to be run again only for what it passes on.
    if (record.has_value() && (last || !needs_.any())) {
      return TakeOver(k, *std::move(record));
    }
    Report("load", k, "");
    ASSIGN_OR_RETURN(const std::unique_ptr<Block> block,
                     model_.LoadBlock(k, ctx_));
    if (record.has_value()) {
      Report("resume", k, block->name());
      RETURN_IF_ERROR(LoadCompressed(k, *record, *block));
      RETURN_IF_ERROR(TakeOver(k, *std::move(record)));
    } else {
      RETURN_IF_ERROR(Compress(k, *block));
    }
    if (needs_.any() && !last) {
      ASSIGN_OR_RETURN(hidden_, RunBlock(*block, hidden_,
                                         run_.calibration.window_tokens, ctx_));
    }
    return absl::OkStatus();
  }

  absl::Status TakeOver(int k, BlockRecord record) {
    ++resumed_blocks_;
    ctx_.ReportNote(absl::StrCat("block ", k,
                                 " taken over from an earlier "
                                 "attempt"));
    Append(std::move(record));
    return absl::OkStatus();
  }

  absl::Status LoadCompressed(int k, const BlockRecord& record, Block& block) {
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
      const auto header = record.headers.find(layer.name());
      if (header == record.headers.end()) continue;
      ASSIGN_OR_RETURN(auto compressed,
                       LoadCompressedLinear(find, layer.name(), *header,
                                            layer.rows(), layer.cols()));
      layer.SetCompressed(std::move(compressed), ctx_);
    }
    return absl::OkStatus();
  }

  absl::Status Compress(int k, Block& block) {
    const int sets = static_cast<int>(block.linear_sets().size());
    const int step = needs_.per_set ? 1 : sets;
    BlockRecord record;
    for (int first = 0; first < sets; first += step) {
      const int last = first + step - 1;
      std::map<int, LayerStatistics> statistics;
      if (needs_.any()) {
        Report("calibrate", k, block.name(), static_cast<double>(first) / sets);
        ASSIGN_OR_RETURN(
            statistics,
            GatherStatistics(block, hidden_, run_.calibration.window_tokens,
                             first, last, ctx_));
      }
      for (int set = first; set <= last; ++set) {
        RETURN_IF_ERROR(CompressSet(k, block, set, statistics[set], &record));
      }
    }
    Report("write", k, block.name(), 1.0);
    std::vector<TensorToWrite> tensors;
    std::vector<std::string> copied = block.OtherTensors();
    for (const Linear& layer : block.linears()) {
      if (layer.compressed() == nullptr) {
        copied.push_back(layer.name() + ".weight");
        continue;
      }
      record.headers[layer.name()] =
          layer.compressed()->Save(layer.name(), &tensors);
      record.stored_bits += layer.compressed()->stored_bits();
      record.weights += static_cast<uint64_t>(layer.rows() * layer.cols());
    }
    RETURN_IF_ERROR(writer_.WriteShard(k, std::move(tensors), copied));
    ASSIGN_OR_RETURN(record.shard_digest,
                     Sha256HexOfFile(writer_.ShardPath(k)));
    RETURN_IF_ERROR(workspace_.WriteBlock(k, record));
    ctx_.ReportNote(
        absl::StrCat("block ", k, " of ", model_.block_count(), " written"));
    Append(std::move(record));
    return absl::OkStatus();
  }

  absl::Status CompressSet(int k, Block& block, int set,
                           const LayerStatistics& statistics,
                           BlockRecord* record) {
    for (int index : block.linear_sets()[static_cast<size_t>(set)]) {
      Linear& layer = block.linears()[static_cast<size_t>(index)];
      const auto& stages = stages_.StagesOf(stages_.RuleOf(layer.name()));
      if (stages.empty()) continue;
      Report("quantize", k, layer.name(),
             (set + 0.5) / static_cast<double>(block.linear_sets().size()));
      LayerReport report;
      report.layer = layer.name();
      for (const std::unique_ptr<Stage>& stage : stages) {
        BlockWork work;
        work.block = k;
        work.layers.push_back(
            {&layer, needs_.any() ? &statistics : nullptr, &report});
        RETURN_IF_ERROR(stage->ProcessBlock(work, ctx_));
      }
      if (layer.compressed() != nullptr) {
        report.bits_per_weight = layer.compressed()->bits_per_weight();
      }
      record->reports.push_back(std::move(report));
    }
    return absl::OkStatus();
  }

  void Append(BlockRecord record) {
    total_.headers.update(record.headers);
    total_.stored_bits += record.stored_bits;
    total_.weights += record.weights;
    std::move(record.reports.begin(), record.reports.end(),
              std::back_inserter(total_.reports));
  }

  double BitsPerWeight() const {
    return total_.weights == 0 ? 0
                               : static_cast<double>(total_.stored_bits) /
                                     static_cast<double>(total_.weights);
  }

  nlohmann::json QuantizationConfig() const {
    return {{"quant_method", kQuantMethod},
            {"format", kArtifactFormat},
            {"recipe", run_.recipe.name()},
            {"bits_per_weight", BitsPerWeight()},
            {kLayerHeadersKey, total_.headers}};
  }

  // quantd.json: everything needed to know what this is and to make it again.
  // No times or host names, so that equal requests give equal bytes.
  absl::Status WriteSummary() const {
    ASSIGN_OR_RETURN(const nlohmann::json recipe, RecipeToJson(run_.recipe));
    nlohmann::json layers = nlohmann::json::array();
    for (const LayerReport& report : total_.reports) {
      layers.push_back(ReportToJson(report));
    }
    nlohmann::json summary = {{"format", kArtifactFormat},
                              {"quantd_version", std::string(Version())},
                              {"device", std::string(ctx_.device().name())},
                              {"recipe", recipe},
                              {"recipe_digest", RecipeDigest(run_.recipe)},
                              {"source",
                               {{"name", run_.provenance.source_name},
                                {"digest", run_.provenance.source_digest}}},
                              {"bits_per_weight", BitsPerWeight()},
                              {"compressed_weights", total_.weights},
                              {"layers", std::move(layers)}};
    if (needs_.any()) {
      summary["calibration"] = {
          {"text_digest", run_.provenance.calibration_digest},
          {"windows", run_.calibration.count()},
          {"window_tokens", run_.calibration.window_tokens},
          {"seed", run_.provenance.calibration_seed}};
    }
    return WriteFileDurably(workspace_.artifact_directory() + "/quantd.json",
                            summary.dump(2) + "\n");
  }

  // `part` of block k is done.
  void Report(const char* phase, int k, const std::string& detail,
              double part = 0) {
    ProgressUpdate update;
    update.phase = phase;
    update.done = static_cast<uint64_t>(k);
    update.total = static_cast<uint64_t>(model_.block_count());
    update.fraction = (k + part) / (model_.block_count() + 0.1);
    update.detail = detail;
    ctx_.ReportProgress(update);
  }

  const RecipeRun& run_;
  const Model& model_;
  const StagesByRule stages_;
  const StatisticsRequest needs_;
  const RunWorkspace workspace_;
  const CheckpointWriter writer_;
  ExecutionContext& ctx_;
  Tensor hidden_;  // inputs of the current block, all calibration windows
  BlockRecord total_;
  int resumed_blocks_ = 0;
};

}  // namespace

absl::Status CheckRecipeFits(const v1::Recipe& recipe,
                             const ModelDescription& model) {
  ASSIGN_OR_RETURN(const StagesByRule stages, StagesByRule::Make(recipe));
  bool compresses = false;
  for (const LinearShape& shape : ModelLinears(model)) {
    for (const auto& stage : stages.StagesOf(stages.RuleOf(shape.name))) {
      RETURN_IF_ERROR(stage->Validate(shape));
      compresses = true;
    }
  }
  if (!compresses) {
    return absl::InvalidArgumentError(
        "the recipe leaves every layer in floating point");
  }
  return absl::OkStatus();
}

absl::StatusOr<RecipeOutcome> RunRecipe(const RecipeRun& run,
                                        ExecutionContext& ctx) {
  if (run.checkpoint->config().contains("quantization_config")) {
    return absl::InvalidArgumentError(
        absl::StrCat(run.checkpoint->directory(),
                     " is compressed already; recipes start "
                     "from the original checkpoint"));
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Model> model,
                   Model::Open(run.checkpoint));
  RETURN_IF_ERROR(CheckRecipeFits(run.recipe, model->description()));
  ASSIGN_OR_RETURN(StagesByRule stages, StagesByRule::Make(run.recipe));
  std::string tokens_digest;
  if (stages.Needs().any()) {
    if (run.calibration.count() == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "method ", run.recipe.name(), " needs calibration text"));
    }
    tokens_digest =
        Sha256Hex({reinterpret_cast<const char*>(run.calibration.tokens.data()),
                   run.calibration.tokens.size() * sizeof(int32_t)});
  }
  const nlohmann::json plan = {
      {"format", kArtifactFormat},
      {"quantd_version", std::string(Version())},
      {"device", std::string(ctx.device().name())},
      {"compute_type", static_cast<int>(ctx.compute_type())},
      {"recipe", RecipeDigest(run.recipe)},
      {"source", run.checkpoint->digest()},
      {"calibration", tokens_digest},
      {"window_tokens", run.calibration.window_tokens}};
  ASSIGN_OR_RETURN(RunWorkspace workspace,
                   RunWorkspace::Open(run.workspace, plan));
  return Runner(run, *model, std::move(stages), std::move(workspace), ctx)
      .Run();
}

}  // namespace quantd
