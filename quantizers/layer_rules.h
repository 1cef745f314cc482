// Overrides per layer as data: pattern -> assignments, first match wins.
//
//   ASSIGN_OR_RETURN(LayerRules rules, LayerRules::Compile(recipe));
//   const auto& stages = rules.StagesOf(rules.Match(layer));
//
// Immutable and thread-safe.
#ifndef QUANTD_QUANTIZERS_LAYER_RULES_H_
#define QUANTD_QUANTIZERS_LAYER_RULES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "quantd/v1/recipe.pb.h"

namespace re2 {
class RE2;
}

namespace quantd {

// Applies "key=value" assignments to the options of the recipe's stages.
// InvalidArgument as SetField() of proto/field_rules.h.
absl::Status AssignToStages(absl::Span<const std::string> assignments,
                            v1::Recipe* recipe);

class LayerRules {
 public:
  // Compiles the patterns and tries every rule's assignments.
  // InvalidArgument names the rule and the fault.
  static absl::StatusOr<LayerRules> Compile(const v1::Recipe& recipe);
  ~LayerRules();
  LayerRules(LayerRules&&);
  LayerRules& operator=(LayerRules&&);

  // The index of the first rule that matches `layer`, or -1.
  int Match(absl::string_view layer) const;

  // Stages that apply to layers of rule `index` (-1: the recipe's own); empty
  // when the layer stays in floating point.
  const std::vector<v1::Stage>& StagesOf(int index) const;

 private:
  LayerRules();
  std::vector<std::unique_ptr<re2::RE2>> patterns_;
  // [0] is the recipe's own list, [i + 1] that of rule i.
  std::vector<std::vector<v1::Stage>> stages_;
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_LAYER_RULES_H_
