#include "quantizers/stages/rtn.h"

#include <algorithm>
#include <vector>

#include "base/status_macros.h"
#include "quantizers/grid.h"
#include "quantizers/round_to_nearest.h"
#include "quantizers/second_moment.h"

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

  StatisticsRequest Needs() const override {
    StatisticsRequest request;
    request.second_moment = request.per_set = grid_->uses_factor_diagonal();
    return request;
  }

  StageCost Cost(const LinearShape& layer) const override {
    StageCost cost = RoundToNearestCost(layer, *grid_);
    if (grid_->uses_factor_diagonal()) {
      const double cols = static_cast<double>(layer.cols);
      cost.working_bytes =
          std::max(cost.working_bytes, static_cast<uint64_t>(8 * cols * cols));
      cost.factor_flops_per_set = 2.0 / 3.0 * cols * cols * cols;
    }
    return cost;
  }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    // What layers with the same inputs share.
    const LayerStatistics* shared = nullptr;
    std::vector<float> diagonal;
    for (LayerWork& item : work.layers) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      const LayerStatistics* statistics = item.statistics.get();
      if (statistics != shared) {
        ASSIGN_OR_RETURN(diagonal, Annotate(FactorDiagonal(statistics, ctx),
                                            "layer ", item.name));
        shared = statistics;
      }
      RETURN_IF_ERROR(Annotate(RoundToNearest(*grid_, diagonal, item, ctx),
                               "layer ", item.name));
    }
    return absl::OkStatus();
  }

 private:
  // U_jj if the grid uses it and anything is known of the inputs, or empty.
  absl::StatusOr<std::vector<float>> FactorDiagonal(
      const LayerStatistics* statistics, ExecutionContext& ctx) const {
    // As GPTQ has it by default.
    constexpr double kDamping = 0.01;
    if (!grid_->uses_factor_diagonal() || statistics == nullptr ||
        statistics->tokens == 0) {
      return std::vector<float>();
    }
    ASSIGN_OR_RETURN(
        const std::vector<double> diagonal,
        DampedFactorDiagonal(statistics->second_moment, kDamping, ctx));
    return std::vector<float>(diagonal.begin(), diagonal.end());
  }

  const std::unique_ptr<const Grid> grid_;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewRtnStage(const v1::RtnStage& options) {
  return std::make_unique<RtnStage>(options);
}

}  // namespace quantd
