#include "quantizers/layer_rules.h"

#include <re2/re2.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "proto/field_rules.h"

namespace quantd {
namespace {

// Patterns come from requests: bound what compiling one may cost. RE2 matches
// in linear time whatever the pattern.
constexpr int64_t kMaxPatternMemory = int64_t{1} << 20;

std::vector<v1::Stage> StageList(const v1::Recipe& recipe) {
  return {recipe.stages().begin(), recipe.stages().end()};
}

}  // namespace

absl::Status AssignToStages(absl::Span<const std::string> assignments,
                            v1::Recipe* recipe) {
  // Only these are open to assignment, not the recipe's name or rules.
  v1::StageList stages_only;
  *stages_only.mutable_stages() = recipe->stages();
  stages_only.set_calibration_inputs(recipe->calibration_inputs());
  for (const std::string& assignment : assignments) {
    RETURN_IF_ERROR(ApplyAssignment(&stages_only, assignment));
  }
  *recipe->mutable_stages() = stages_only.stages();
  recipe->set_calibration_inputs(stages_only.calibration_inputs());
  return absl::OkStatus();
}

LayerRules::LayerRules() = default;
LayerRules::~LayerRules() = default;
LayerRules::LayerRules(LayerRules&&) = default;
LayerRules& LayerRules::operator=(LayerRules&&) = default;

absl::StatusOr<LayerRules> LayerRules::Compile(const v1::Recipe& recipe) {
  LayerRules rules;
  rules.stages_.push_back(StageList(recipe));
  for (int i = 0; i < recipe.layer_rules_size(); ++i) {
    const v1::LayerRule& rule = recipe.layer_rules(i);
    const std::string where = absl::StrCat("recipe.layer_rules[", i, "]");
    RE2::Options options(RE2::Quiet);
    options.set_max_mem(kMaxPatternMemory);
    auto pattern = std::make_unique<RE2>(rule.pattern(), options);
    if (!pattern->ok()) {
      return InvalidField(where + ".pattern", pattern->error());
    }
    rules.patterns_.push_back(std::move(pattern));
    if (rule.keep_float()) {
      if (rule.set_size() > 0) {
        return InvalidField(where, "both keep_float and set are given");
      }
      rules.stages_.emplace_back();
      continue;
    }
    v1::Recipe changed = recipe;
    RETURN_IF_ERROR(Annotate(
        AssignToStages(
            std::vector<std::string>(rule.set().begin(), rule.set().end()),
            &changed),
        where));
    if (changed.calibration_inputs() != recipe.calibration_inputs()) {
      return InvalidField(where + ".set",
                          "calibration_inputs is the whole recipe's");
    }
    rules.stages_.push_back(StageList(changed));
  }
  return rules;
}

int LayerRules::Match(absl::string_view layer) const {
  const re2::StringPiece text(layer.data(), layer.size());
  for (size_t i = 0; i < patterns_.size(); ++i) {
    if (RE2::FullMatch(text, *patterns_[i])) return static_cast<int>(i);
  }
  return -1;
}

const std::vector<v1::Stage>& LayerRules::StagesOf(int index) const {
  return stages_[static_cast<size_t>(index + 1)];
}

}  // namespace quantd
