#include "quantizers/artifact_summary.h"

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "google/protobuf/util/json_util.h"
#include "models/compressed_linear.h"
#include "models/json_text.h"
#include "nlohmann/json.hpp"
#include "quantizers/recipe.h"

namespace quantd {
namespace {

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

}  // namespace

nlohmann::json QuantizationConfig(const v1::Recipe& recipe,
                                  const BlockRecord& total) {
  return {{"quant_method", kQuantMethod},
          {"format", kArtifactFormat},
          {"recipe", recipe.name()},
          {"bits_per_weight", total.bits_per_weight()},
          {kLayerHeadersKey, total.headers}};
}

absl::Status WriteArtifactSummary(const RecipeRun& run,
                                  const RecipeOutcome& outcome,
                                  const nlohmann::json& surveys,
                                  const ExecutionContext& ctx) {
  const v1::Recipe& source = run.recipe->source();
  ASSIGN_OR_RETURN(const nlohmann::json recipe, RecipeToJson(source));
  nlohmann::json layers = nlohmann::json::array();
  for (const LayerReport& report : outcome.layers) {
    layers.push_back(ReportToJson(report));
  }
  nlohmann::json summary = {{"format", kArtifactFormat},
                            {"quantd_version", std::string(Version())},
                            {"device", std::string(ctx.device().name())},
                            {"recipe", recipe},
                            {"recipe_digest", RecipeDigest(source)},
                            {"source",
                             {{"name", run.provenance.source_name},
                              {"digest", run.provenance.source_digest}}},
                            {"bits_per_weight", outcome.bits_per_weight},
                            {"compressed_weights", outcome.compressed_weights},
                            {"layers", std::move(layers)}};
  if (!surveys.empty()) summary["surveys"] = surveys;
  if (outcome.tuning.has_value()) {
    summary["distillation"] = {
        {"divergence_before", outcome.tuning->divergence_before},
        {"divergence_after", outcome.tuning->divergence_after},
        {"kept", outcome.tuning->kept},
        {"best_step", outcome.tuning->best_step},
        {"changed_codes", outcome.tuning->changed_codes}};
  }
  if (!outcome.blocks.empty()) {
    nlohmann::json& blocks = summary["reconstructions"];
    for (const BlockReport& block : outcome.blocks) {
      blocks.push_back(ReportToJson(block));
    }
  }
  if (run.recipe->needs().any()) {
    summary["calibration"] = {
        {"text_digest", run.provenance.calibration_digest},
        {"windows", run.calibration.count()},
        {"window_tokens", run.calibration.window_tokens},
        {"seed", run.provenance.calibration_seed}};
  }
  return WriteFileDurably(outcome.artifact_directory + "/quantd.json",
                          summary.dump(2) + "\n");
}

}  // namespace quantd
