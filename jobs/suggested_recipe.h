// From a suggestion of bits (evaluators/bit_suggestion.h) to a recipe that has
// them: how far the bits of an artifact's layers can go by the recipe that made
// it, and that recipe with a rule for every unit whose bits change.
//
//   ASSIGN_OR_RETURN(auto recipe, SuggestedRecipe::Open(artifact_directory));
//   options.bit_changes = [&](const std::string& unit) {
//     return recipe.ChangesOf(unit);
//   };
//   ...
//   RETURN_IF_ERROR(recipe.AddTo(report.mutable_suggestion()));
//
// Immutable and thread-safe.
#ifndef QUANTD_JOBS_SUGGESTED_RECIPE_H_
#define QUANTD_JOBS_SUGGESTED_RECIPE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "evaluators/bit_suggestion.h"
#include "quantd/v1/evaluation.pb.h"
#include "quantd/v1/recipe.pb.h"

namespace quantd {

class SuggestedRecipe {
 public:
  // Reads the quantd.json of an artifact. NotFound when there is none;
  // InvalidArgument when it is broken; FailedPrecondition when a layer's stages
  // have no option "bits", of one value, to change.
  static absl::StatusOr<SuggestedRecipe> Open(const std::string& directory);

  // The same of a recipe that is complete and the layers that it compressed.
  static absl::StatusOr<SuggestedRecipe> Of(
      const v1::Recipe& recipe, const std::vector<std::string>& layers);

  // How many bits all layers of a unit, a block or one layer, can lose and gain
  // and still be what the option takes. None for a unit without layers.
  BitChanges ChangesOf(const std::string& unit) const;

  // Sets layer_rules and recipe. FailedPrecondition when the recipe would not
  // be a valid one, or when a unit that changes has no layers; nothing is set
  // then.
  absl::Status AddTo(v1::BitSuggestion* suggestion) const;

 private:
  // The option "bits" of a layer's stages.
  struct LayerBits {
    int rule = -1;  // of the recipe, that the layer is under; -1: none
    int now = 0;
    // What it takes.
    int least = 0, most = 0;
  };

  SuggestedRecipe() = default;

  // Names of the layers of a unit.
  std::vector<std::string> LayersOf(const std::string& unit) const;
  // The rule of the layers that `pattern` matches.
  v1::LayerRule RuleOf(const std::string& pattern, const LayerBits& layer,
                       int change) const;

  v1::Recipe recipe_;
  std::map<std::string, LayerBits> layers_;
};

}  // namespace quantd

#endif  // QUANTD_JOBS_SUGGESTED_RECIPE_H_
