#include "quantizers/model_survey.h"

#include <utility>

#include "base/status_macros.h"
#include "models/network/block_plan.h"
#include "models/network/tensor_loader.h"

namespace quantd {

ModelSurvey::ModelSurvey(const Model& model, const CompiledRecipe& recipe,
                         const CompiledRecipe::Stages& stages,
                         Progress progress, ExecutionContext& ctx)
    : model_(model),
      recipe_(recipe),
      stages_(stages),
      progress_(std::move(progress)),
      ctx_(ctx) {
  for (const LinearShape& shape : ModelLinears(model.description())) {
    if (Concerns(shape.name)) ++layers_;
  }
}

absl::Status ModelSurvey::VisitLayers(Visitor visit) {
  for (int k = 0; k < model_.block_count(); ++k) {
    for (const LinearPlan& plan : PlanBlock(model_.description(), k).linears) {
      if (!Concerns(plan.name)) continue;
      RETURN_IF_ERROR(ctx_.CheckCancelled());
      progress_(visits_++, plan.name);
      ASSIGN_OR_RETURN(const Linear layer,
                       LoadLinear(model_.checkpoint(), plan, ctx_));
      RETURN_IF_ERROR(
          Annotate(visit(plan.name, layer.weight()), "layer ", plan.name));
    }
  }
  return absl::OkStatus();
}

}  // namespace quantd
