// The input is a recipe in text format, then, after a NUL byte, "key=value"
// assignments separated by newlines.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "models/model_description.h"
#include "nlohmann/json.hpp"
#include "quantizers/compiled_recipe.h"
#include "quantizers/recipe.h"
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
  quantd::v1::Recipe received;
  FuzzCheck(received.ParseFromString(complete->SerializeAsString()),
            "a complete recipe can be sent");
  static const quantd::ModelDescription& model = *[] {
    const nlohmann::json config = {
        {"model_type", "llama"},        {"hidden_size", 64},
        {"intermediate_size", 96},      {"num_hidden_layers", 2},
        {"num_attention_heads", 4},     {"vocab_size", 256},
        {"max_position_embeddings", 64}};
    return new quantd::ModelDescription(
        quantd::ParseModelConfig(config, "config.json").value());
  }();
  const auto compiled = quantd::CompiledRecipe::Compile(*complete);
  if (!compiled.ok()) {
    CheckRefusal(compiled.status());
    return 0;
  }
  const absl::Status fits = compiled->CheckFits(model);
  if (!fits.ok()) CheckRefusal(fits);
  return 0;
}
