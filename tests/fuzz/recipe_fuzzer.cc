// The input is a recipe in text format, then, after a NUL byte, "key=value"
// assignments separated by newlines.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "quantizers/recipe.h"
#include "quantizers/recipe_run.h"
#include "tests/fuzz/fuzz_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using quantd::test::CheckRefusal;
  using quantd::test::FuzzCheck;
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\0'), input.size());
  const auto parsed = quantd::ParseRecipe(input.substr(0, end));
  if (!parsed.ok()) {
    CheckRefusal(parsed.status());
    return 0;
  }
  std::vector<std::string> assignments;
  if (end < input.size()) {
    assignments = absl::StrSplit(input.substr(end + 1), '\n');
  }
  const auto complete = quantd::CompleteRecipe(*parsed, assignments);
  if (!complete.ok()) {
    CheckRefusal(complete.status());
    return 0;
  }
  // A complete recipe is a fixed point, and can be held against any model.
  const auto again = quantd::CompleteRecipe(*complete, {});
  FuzzCheck(again.ok() &&
                quantd::RecipeDigest(*again) == quantd::RecipeDigest(*complete),
            "completing a complete recipe changes nothing");
  quantd::ModelDescription model;
  model.blocks = 2;
  model.hidden_size = 64;
  model.intermediate_size = 96;
  model.heads = model.kv_heads = 4;
  model.head_dim = 16;
  model.names.block_prefix = "model.layers";
  const absl::Status fits = quantd::CheckRecipeFits(*complete, model);
  if (!fits.ok()) CheckRefusal(fits);
  return 0;
}
