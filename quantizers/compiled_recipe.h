// A recipe made ready to run: its rules compiled, its stages made once per
// distinct rule.
//
//   ASSIGN_OR_RETURN(const CompiledRecipe recipe, CompiledRecipe::Compile(r));
//   RETURN_IF_ERROR(recipe.CheckFits(model.description()));
//   for (const auto& stage : recipe.StagesOf(layer_name)) ...
//
// Immutable and thread-safe; its stages are confined to one run.
#ifndef QUANTD_QUANTIZERS_COMPILED_RECIPE_H_
#define QUANTD_QUANTIZERS_COMPILED_RECIPE_H_

#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/model_description.h"
#include "quantd/v1/recipe.pb.h"
#include "quantizers/layer_rules.h"
#include "quantizers/stage.h"

namespace quantd {

class CompiledRecipe {
 public:
  // REQUIRES: completed by CompleteRecipe(). Errors of LayerRules::Compile()
  // and NewStage(); also when a layer rule changes an option that concerns the
  // whole network, or two stages transform the checkpoint.
  static absl::StatusOr<CompiledRecipe> Compile(const v1::Recipe& recipe);

  // Whether every stage can process every layer it will meet. InvalidArgument
  // names the field, the layer and the reason; also when the recipe compresses
  // no layer at all.
  absl::Status CheckFits(const ModelDescription& model) const;

  // What it was compiled from.
  const v1::Recipe& source() const { return source_; }

  using Stages = std::vector<std::unique_ptr<Stage>>;
  // The stages `layer` goes through; empty: it stays in floating point. Equal
  // addresses for layers under the same rule.
  const Stages& StagesOf(absl::string_view layer) const;

  // What is to be made of the checkpoint first; null: nothing.
  const CheckpointTransform* checkpoint_transform() const;
  // What is done to every block at its end; null: nothing.
  const BlockReconstruction* block_reconstruction() const;
  // How the network is tuned at its end; null: not.
  const NetworkTuningOptions* network_tuning() const;
  // The stages under each rule: first those without one, then rule by rule;
  // layers that a rule keeps in floating point have none.
  absl::Span<const Stages> stage_lists() const { return stages_; }

  // The union over all rules.
  const StatisticsRequest& needs() const { return needs_; }

  // Whether statistics are those of the original network, whatever the recipe
  // makes of it.
  bool calibrates_on_original() const {
    return source_.calibration_inputs() == v1::Recipe::ORIGINAL;
  }
  // Whether statistics are gathered again before each set of layers.
  bool gathers_per_set() const {
    return needs_.per_set && !calibrates_on_original();
  }

 private:
  CompiledRecipe(const v1::Recipe& source, LayerRules rules)
      : source_(source), rules_(std::move(rules)) {}

  absl::Status CheckWholeNetworkStages() const;

  v1::Recipe source_;
  LayerRules rules_;
  // [0] is the recipe's own list, [i + 1] that of rule i.
  std::vector<Stages> stages_;
  StatisticsRequest needs_;
};

// Gives the solver's grid to the stages before it. Compile() does so itself.
void ConnectStages(const CompiledRecipe::Stages& stages);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_COMPILED_RECIPE_H_
