#include "jobs/suggested_recipe.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/message_differencer.h"
#include "models/json_text.h"
#include "nlohmann/json.hpp"
#include "quantizers/compiled_recipe.h"
#include "quantizers/layer_rules.h"
#include "quantizers/recipe.h"

namespace quantd {
namespace {

// Some kilobytes a layer are far more than a report has.
constexpr uint64_t kMaxSummaryBytes = 64 << 20;

// More than any grid's codes have.
constexpr int kMostBits = 32;

// Behind the name of a recipe whose bits were changed.
constexpr char kNameSuffix[] = "-suggested";
constexpr size_t kMaxNameBytes = 128;

// What the option "bits" of a recipe's stages takes, and which of it is there
// already; nothing where there is no such option, or not one value of it.
struct BitsOption {
  int now = 0;
  int least = 0, most = 0;
};

std::optional<BitsOption> BitsOptionOf(const std::vector<v1::Stage>& stages) {
  v1::Recipe recipe;
  recipe.mutable_stages()->Assign(stages.begin(), stages.end());
  recipe.set_calibration_inputs(v1::Recipe::COMPRESSED);
  BitsOption option;
  for (int bits = 1; bits <= kMostBits; ++bits) {
    v1::Recipe changed = recipe;
    if (!AssignToStages({absl::StrCat("bits=", bits)}, &changed).ok()) continue;
    if (option.least == 0) option.least = bits;
    option.most = bits;
    if (google::protobuf::util::MessageDifferencer::Equals(changed, recipe)) {
      option.now = bits;
    }
  }
  if (option.now == 0) return std::nullopt;
  return option;
}

// A regular expression that matches `name` alone.
std::string Literal(const std::string& name) {
  std::string pattern;
  for (const char c : name) {
    if (!absl::ascii_isalnum(c) && c != '_') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

absl::Status Unsuitable(absl::string_view reason) {
  return absl::FailedPreconditionError(reason);
}

}  // namespace

absl::StatusOr<SuggestedRecipe> SuggestedRecipe::Open(
    const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/quantd.json");
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxSummaryBytes));
  JsonLimits limits;
  limits.max_bytes = kMaxSummaryBytes;
  ASSIGN_OR_RETURN(const nlohmann::json summary,
                   ParseJson(text, "quantd.json", limits));
  ASSIGN_OR_RETURN(const JsonReader reader,
                   JsonReader::Of(summary, "quantd.json"));
  ASSIGN_OR_RETURN(const JsonReader stored, reader.GetObject("recipe"));
  v1::Recipe recipe;
  if (const auto status = google::protobuf::util::JsonStringToMessage(
          stored.value().dump(), &recipe);
      !status.ok()) {
    return reader.Fault("recipe", std::string(status.message()));
  }
  ASSIGN_OR_RETURN(const nlohmann::json* reports, reader.GetArray("layers"));
  std::vector<std::string> layers;
  for (const nlohmann::json& entry : *reports) {
    ASSIGN_OR_RETURN(const JsonReader report,
                     JsonReader::Of(entry, "quantd.json", "layers"));
    ASSIGN_OR_RETURN(layers.emplace_back(), report.GetString("layer"));
  }
  return Of(recipe, layers);
}

absl::StatusOr<SuggestedRecipe> SuggestedRecipe::Of(
    const v1::Recipe& recipe, const std::vector<std::string>& layers) {
  SuggestedRecipe suggested;
  suggested.recipe_ = recipe;
  ASSIGN_OR_RETURN(const LayerRules rules, LayerRules::Compile(recipe));
  std::map<int, std::optional<BitsOption>> options;
  for (const std::string& layer : layers) {
    const int rule = rules.Match(layer);
    auto option = options.find(rule);
    if (option == options.end()) {
      option = options.emplace(rule, BitsOptionOf(rules.StagesOf(rule))).first;
    }
    if (!option->second.has_value()) {
      return Unsuitable(
          absl::StrCat("recipe ", recipe.name(), ", layer ", layer,
                       ": the stages have no single option \"bits\""));
    }
    suggested.layers_[layer] = {rule, option->second->now,
                                option->second->least, option->second->most};
  }
  return suggested;
}

std::vector<std::string> SuggestedRecipe::LayersOf(
    const std::string& unit) const {
  std::vector<std::string> names;
  if (layers_.count(unit) > 0) names.push_back(unit);
  const std::string prefix = unit + ".";
  for (auto it = layers_.lower_bound(prefix);
       it != layers_.end() && absl::StartsWith(it->first, prefix); ++it) {
    names.push_back(it->first);
  }
  return names;
}

BitChanges SuggestedRecipe::ChangesOf(const std::string& unit) const {
  const std::vector<std::string> names = LayersOf(unit);
  if (names.empty()) return {0, 0};
  BitChanges changes;
  for (const std::string& name : names) {
    const LayerBits& layer = layers_.at(name);
    changes.least = std::max(changes.least, layer.least - layer.now);
    changes.most = std::min(changes.most, layer.most - layer.now);
  }
  return changes;
}

v1::LayerRule SuggestedRecipe::RuleOf(const std::string& pattern,
                                      const LayerBits& layer,
                                      int change) const {
  v1::LayerRule rule;
  rule.set_pattern(pattern);
  // The first match wins, so what the layer's own rule says is said again.
  if (layer.rule >= 0) {
    *rule.mutable_set() = recipe_.layer_rules(layer.rule).set();
  }
  rule.add_set(absl::StrCat("bits=", layer.now + change));
  return rule;
}

absl::Status SuggestedRecipe::AddTo(v1::BitSuggestion* suggestion) const {
  std::vector<v1::LayerRule> rules;
  for (const v1::UnitBits& unit : suggestion->units()) {
    if (unit.change() == 0) continue;
    const std::vector<std::string> names = LayersOf(unit.name());
    if (names.empty()) {
      return Unsuitable(absl::StrCat(unit.name(), " has no layers"));
    }
    // One pattern for a block's layers only where no rule tells them apart, or
    // keeps one of them in floating point.
    if (recipe_.layer_rules().empty() && names[0] != unit.name()) {
      rules.push_back(RuleOf(Literal(unit.name()) + "\\..*",
                             layers_.at(names[0]), unit.change()));
      continue;
    }
    for (const std::string& name : names) {
      rules.push_back(RuleOf(Literal(name), layers_.at(name), unit.change()));
    }
  }
  v1::Recipe recipe = recipe_;
  recipe.clear_title();
  recipe.clear_description();
  recipe.clear_needs_calibration();
  if (!absl::EndsWith(recipe.name(), kNameSuffix) &&
      recipe.name().size() + sizeof(kNameSuffix) <= kMaxNameBytes) {
    recipe.set_name(absl::StrCat(recipe.name(), kNameSuffix));
  }
  recipe.mutable_layer_rules()->Assign(rules.begin(), rules.end());
  recipe.mutable_layer_rules()->MergeFrom(recipe_.layer_rules());
  std::string text;
  if (!google::protobuf::TextFormat::PrintToString(recipe, &text)) {
    return absl::InternalError("the recipe has no text form");
  }
  ASSIGN_OR_RETURN(const v1::Recipe complete, CompleteRecipe(recipe, {}));
  RETURN_IF_ERROR(CompiledRecipe::Compile(complete).status());
  suggestion->mutable_layer_rules()->Assign(rules.begin(), rules.end());
  suggestion->set_recipe(text);
  return absl::OkStatus();
}

}  // namespace quantd
