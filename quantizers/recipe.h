// Recipes: the built-in ones, and how a request becomes a complete recipe.
//
//   ASSIGN_OR_RETURN(v1::Recipe recipe,
//                    ResolveRecipe("gptq", {"bits=3", "group_size=64"}));
//
// A resolved recipe has every default written out, so it describes by itself
// what was run; it is stored in the job and in the artifact.
//
// Thread-safe.
#ifndef QUANTD_QUANTIZERS_RECIPE_H_
#define QUANTD_QUANTIZERS_RECIPE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "quantd/v1/recipe.pb.h"

namespace quantd {

// The recipe files of quantizers/recipes, sorted by name, defaults filled in.
const std::vector<v1::Recipe>& BuiltinRecipes();

// NotFound (with the known names) when there is none of that name.
absl::StatusOr<v1::Recipe> FindBuiltinRecipe(absl::string_view name);

// Parses a recipe in text format. InvalidArgument with line and column.
absl::StatusOr<v1::Recipe> ParseRecipe(absl::string_view text);

// Applies "key=value" assignments to the stages of `recipe`, fills in defaults
// and validates the whole. InvalidArgument names the first offending field.
absl::StatusOr<v1::Recipe> CompleteRecipe(
    v1::Recipe recipe, absl::Span<const std::string> assignments);

// FindBuiltinRecipe() + CompleteRecipe().
absl::StatusOr<v1::Recipe> ResolveRecipe(
    absl::string_view method, absl::Span<const std::string> assignments);

// SHA-256 of the deterministic serialisation of a completed recipe.
std::string RecipeDigest(const v1::Recipe& recipe);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_RECIPE_H_
