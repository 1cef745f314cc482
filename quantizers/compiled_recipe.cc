#include "quantizers/compiled_recipe.h"

#include <utility>

#include "base/status_macros.h"
#include "models/model.h"

namespace quantd {

absl::StatusOr<CompiledRecipe> CompiledRecipe::Compile(
    const v1::Recipe& recipe) {
  ASSIGN_OR_RETURN(LayerRules rules, LayerRules::Compile(recipe));
  CompiledRecipe result(recipe, std::move(rules));
  for (int rule = -1; rule < recipe.layer_rules_size(); ++rule) {
    Stages stages;
    for (const v1::Stage& options : result.rules_.StagesOf(rule)) {
      ASSIGN_OR_RETURN(std::unique_ptr<Stage> stage, NewStage(options));
      result.needs_.Merge(stage->Needs());
      stages.push_back(std::move(stage));
    }
    result.stages_.push_back(std::move(stages));
  }
  return result;
}

absl::Status CompiledRecipe::CheckFits(const ModelDescription& model) const {
  bool compresses = false;
  for (const LinearShape& shape : ModelLinears(model)) {
    for (const std::unique_ptr<Stage>& stage : StagesOf(shape.name)) {
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

const CompiledRecipe::Stages& CompiledRecipe::StagesOf(
    absl::string_view layer) const {
  return stages_[static_cast<size_t>(rules_.Match(layer) + 1)];
}

}  // namespace quantd
