#include "quantizers/stages/rtn.h"

#include "base/status_macros.h"
#include "quantizers/grid.h"
#include "quantizers/round_to_nearest.h"

namespace quantd {
namespace {

// --- Stage -----------------------------------------------------------------

class RtnStage final : public Stage {
 public:
  explicit RtnStage(const v1::RtnStage& options)
      : grid_(NewGrid(options.grid())) {}

  absl::string_view name() const override { return "rtn"; }

  absl::Status Validate(const LinearShape& layer) const override {
    return grid_->Validate("rtn.grid", layer);
  }

  const Grid* grid() const override { return grid_.get(); }

  StatisticsRequest Needs() const override { return {}; }

  StageCost Cost(const LinearShape& layer) const override {
    return RoundToNearestCost(layer, *grid_);
  }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    for (LayerWork& item : work.layers) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      RETURN_IF_ERROR(
          Annotate(RoundToNearest(*grid_, item, ctx), "layer ", item.name));
    }
    return absl::OkStatus();
  }

 private:
  const std::unique_ptr<const Grid> grid_;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewRtnStage(const v1::RtnStage& options) {
  return std::make_unique<RtnStage>(options);
}

}  // namespace quantd
