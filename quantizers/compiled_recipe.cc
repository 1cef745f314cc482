#include "quantizers/compiled_recipe.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/model.h"
#include "proto/field_rules.h"

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
    ConnectStages(stages);
    result.stages_.push_back(std::move(stages));
  }
  RETURN_IF_ERROR(result.CheckWholeNetworkStages());
  if (result.block_reconstruction() != nullptr &&
      result.calibrates_on_original()) {
    return InvalidField("recipe.calibration_inputs",
                        "blocks are tuned on what compressed blocks before "
                        "them make: COMPRESSED, not ORIGINAL");
  }
  return result;
}

absl::Status CompiledRecipe::CheckWholeNetworkStages() const {
  const std::vector<v1::Stage>& own = rules_.StagesOf(-1);
  int transforms = 0;
  for (size_t i = 0; i < own.size(); ++i) {
    const Stage& stage = *stages_[0][i];
    const bool transform = stage.checkpoint_transform() != nullptr;
    if (transform && ++transforms > 1) {
      return InvalidField(absl::StrCat("recipe.stages[", i, "].", stage.name()),
                          "a second stage that transforms the checkpoint");
    }
    const StatisticsRequest needs = stage.Needs();
    if (!transform && stage.block_reconstruction() == nullptr &&
        stage.network_tuning() == nullptr && needs.token_weighting.uniform() &&
        needs.window_copies == 1) {
      continue;
    }
    for (int rule = 0; rule + 1 < static_cast<int>(stages_.size()); ++rule) {
      const std::vector<v1::Stage>& changed = rules_.StagesOf(rule);
      if (!changed.empty() &&
          changed[i].SerializeAsString() != own[i].SerializeAsString()) {
        return InvalidField(
            absl::StrCat("recipe.layer_rules[", rule, "].set"),
            absl::StrCat("stage ", stage.name(),
                         " concerns the whole network and cannot differ "
                         "between layers"));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CompiledRecipe::CheckFits(const ModelDescription& model) const {
  for (const std::unique_ptr<Stage>& stage : stages_[0]) {
    RETURN_IF_ERROR(stage->ValidateModel(model));
  }
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

namespace {

// What the first stage has that has it.
template <typename T>
const T* FirstOf(const CompiledRecipe::Stages& stages,
                 const T* (Stage::*get)() const) {
  for (const std::unique_ptr<Stage>& stage : stages) {
    const T* const found = ((*stage).*get)();
    if (found != nullptr) return found;
  }
  return nullptr;
}

}  // namespace

const CheckpointTransform* CompiledRecipe::checkpoint_transform() const {
  return FirstOf(stages_[0], &Stage::checkpoint_transform);
}

const BlockReconstruction* CompiledRecipe::block_reconstruction() const {
  return FirstOf(stages_[0], &Stage::block_reconstruction);
}

const NetworkTuningOptions* CompiledRecipe::network_tuning() const {
  return FirstOf(stages_[0], &Stage::network_tuning);
}

void ConnectStages(const CompiledRecipe::Stages& stages) {
  const Grid* grid = nullptr;
  for (const std::unique_ptr<Stage>& stage : stages) {
    if (stage->grid() != nullptr) grid = stage->grid();
  }
  for (const std::unique_ptr<Stage>& stage : stages) {
    if (stage->grid() == nullptr) stage->set_solver_grid(grid);
  }
}

const CompiledRecipe::Stages& CompiledRecipe::StagesOf(
    absl::string_view layer) const {
  return stages_[static_cast<size_t>(rules_.Match(layer) + 1)];
}

}  // namespace quantd
