// Streams the layers of a model past the stages that want to see all of them
// before the first block (Stage::Survey).
#ifndef QUANTD_QUANTIZERS_MODEL_SURVEY_H_
#define QUANTD_QUANTIZERS_MODEL_SURVEY_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "kernels/execution_context.h"
#include "models/model.h"
#include "quantizers/compiled_recipe.h"
#include "quantizers/stage.h"

namespace quantd {

// The layers of `model` that go through `stages`, as the checkpoint has them.
class ModelSurvey final : public LayerSurvey {
 public:
  // Called before a layer is visited: how many visits are done, and the layer.
  using Progress = std::function<void(uint64_t, const std::string&)>;

  // All outlive the survey.
  ModelSurvey(const Model& model, const CompiledRecipe& recipe,
              const CompiledRecipe::Stages& stages, Progress progress,
              ExecutionContext& ctx);

  // Layers of one pass.
  uint64_t layers() const { return layers_; }

  absl::Status VisitLayers(Visitor visit) override;

 private:
  bool Concerns(const std::string& layer) const {
    return &recipe_.StagesOf(layer) == &stages_;
  }

  const Model& model_;
  const CompiledRecipe& recipe_;
  const CompiledRecipe::Stages& stages_;
  const Progress progress_;
  ExecutionContext& ctx_;
  uint64_t layers_ = 0;
  uint64_t visits_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_MODEL_SURVEY_H_
