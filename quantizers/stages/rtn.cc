#include "quantizers/stages/rtn.h"

#include <utility>

#include "base/status_macros.h"
#include "models/layouts/packed_int.h"
#include "quantizers/affine_grid.h"
#include "quantizers/grid_validation.h"
#include "quantizers/layer_error.h"
#include "quantizers/round_to_nearest.h"

namespace quantd {
namespace {

// --- Stage -----------------------------------------------------------------

class RtnStage final : public Stage {
 public:
  explicit RtnStage(const v1::RtnStage& options)
      : grid_(GridOptionsFrom(options.grid())) {}

  absl::string_view name() const override { return "rtn"; }

  absl::Status Validate(const LinearShape& layer) const override {
    return ValidateGridFor(grid_, "rtn.grid", layer);
  }

  StatisticsRequest Needs() const override { return {}; }

  StageCost Cost(const LinearShape& layer) const override {
    return RoundToNearestCost(layer, grid_);
  }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    for (LayerWork& item : work.layers) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      Linear& layer = *item.layer;
      const Tensor original = layer.weight();
      ASSIGN_OR_RETURN(
          auto compressed,
          Annotate(NewPackedInt(RoundToNearest(original, grid_, ctx)), "layer ",
                   layer.name()));
      layer.SetCompressed(std::move(compressed), ctx);
      item.report->weight_error = RelativeWeightError(original, layer.weight());
    }
    return absl::OkStatus();
  }

 private:
  const AffineGridOptions grid_;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewRtnStage(const v1::RtnStage& options) {
  return std::make_unique<RtnStage>(options);
}

}  // namespace quantd
