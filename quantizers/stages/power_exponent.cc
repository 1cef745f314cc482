#include "quantizers/stages/power_exponent.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"
#include "proto/field_rules.h"
#include "quantizers/golden_section.h"
#include "quantizers/grids/power.h"
#include "quantizers/round_to_nearest.h"

namespace quantd {
namespace {

constexpr char kExponentKey[] = "exponent";
constexpr char kErrorKey[] = "sum_of_layer_errors";

// --- Stage -----------------------------------------------------------------

class PowerExponentStage final : public Stage {
 public:
  explicit PowerExponentStage(const v1::PowerExponentStage& options)
      : grid_(NewPowerGrid(options.grid())) {
    search_.lower = options.lower();
    search_.upper = options.upper();
    search_.tolerance = options.tolerance();
  }

  absl::string_view name() const override { return "power_exponent"; }

  absl::Status Validate(const LinearShape& layer) const override {
    if (search_.lower >= search_.upper) {
      return InvalidField(
          "power_exponent.lower",
          absl::StrCat(search_.lower, " is not below upper, ", search_.upper));
    }
    return grid_->Validate("power_exponent.grid", layer);
  }

  StatisticsRequest Needs() const override { return {}; }

  StageCost Cost(const LinearShape& layer) const override {
    const GridCost rounding = grid_->Cost(layer);
    StageCost cost;
    cost.working_bytes = rounding.working_bytes;
    cost.rounded_weights = rounding.rounded_weights * survey_passes();
    return cost;
  }

  int survey_passes() const override { return GoldenSectionCalls(search_); }

  absl::StatusOr<nlohmann::json> Survey(LayerSurvey& layers,
                                        ExecutionContext& ctx) override {
    ASSIGN_OR_RETURN(
        const Minimum minimum,
        GoldenSection(search_, [&](double exponent) -> absl::StatusOr<double> {
          GridPlan plan;
          plan.exponent = exponent;
          double sum = 0;
          RETURN_IF_ERROR(layers.VisitLayers(
              [&](const std::string&, const Tensor& weight) -> absl::Status {
                ASSIGN_OR_RETURN(
                    const double squared,
                    SquaredRoundingError(*grid_, plan, weight, ctx));
                sum += std::sqrt(squared);
                return absl::OkStatus();
              }));
          return sum;
        }));
    ctx.ReportNote(absl::StrCat("exponent of the power grid: ", minimum.x));
    return nlohmann::json{{kExponentKey, minimum.x},
                          {kErrorKey, minimum.value}};
  }

  absl::Status UseSurvey(const nlohmann::json& found) override {
    const auto it = found.find(kExponentKey);
    if (it == found.end() || !it->is_number()) {
      return absl::InvalidArgumentError("a survey without an exponent");
    }
    const double exponent = it->get<double>();
    if (!(exponent >= search_.lower && exponent <= search_.upper)) {
      return absl::InvalidArgumentError(
          absl::StrCat("a surveyed exponent of ", exponent));
    }
    exponent_ = exponent;
    return absl::OkStatus();
  }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    for (LayerWork& item : work.layers) item.grid_plan.exponent = exponent_;
    return absl::OkStatus();
  }

 private:
  const std::unique_ptr<const Grid> grid_;
  GoldenSectionOptions search_;
  double exponent_ = 0;  // 0: not surveyed
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewPowerExponentStage(
    const v1::PowerExponentStage& options) {
  return std::make_unique<PowerExponentStage>(options);
}

}  // namespace quantd
