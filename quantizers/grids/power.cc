#include "quantizers/grids/power.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "quantizers/grids/table.h"

namespace quantd {

ValueSet PowerValues(int bits, double exponent, PowerRounding rounding) {
  const int half = 1 << (bits - 1);
  const double end = std::pow(half - 1, 1.0 / exponent);
  const double unit =
      std::exp2(-std::nearbyint(std::log2(end / std::max(1, half - 1))));
  const auto value = [&](double code) {
    return std::copysign(unit * std::pow(std::abs(code), 1.0 / exponent), code);
  };
  std::vector<float> values;
  std::vector<double> thresholds;
  for (int code = -half; code < half; ++code) {
    values.push_back(code == 0 ? 0.0f : static_cast<float>(value(code)));
    if (code + 1 < half) thresholds.push_back(value(code + 0.5));
  }
  return rounding == PowerRounding::kPower
             ? ValueSet(std::move(values), thresholds)
             : ValueSet(std::move(values));
}

namespace {

class PowerGrid final : public Grid {
 public:
  explicit PowerGrid(const v1::PowerGrid& options)
      : exponent_(options.exponent()),
        rounding_(options.round_to_value() ? PowerRounding::kValue
                                           : PowerRounding::kPower) {
    options_.bits = static_cast<int>(options.bits());
    ReadSharedOptions(options, &options_);
  }

  absl::string_view name() const override { return "power"; }

  absl::Status Validate(absl::string_view prefix,
                        const LinearShape& layer) const override {
    return ValidateTableGrid(options_, absl::StrCat(prefix, ".power"), layer);
  }

  GridCost Cost(const LinearShape& layer) const override {
    return TableGridCost(options_, layer);
  }

  int64_t GroupSizeFor(int64_t cols) const override {
    return options_.GroupSizeFor(cols);
  }

  absl::StatusOr<std::unique_ptr<LayerGrid<float>>> NewLayerGrid(
      int64_t rows, int64_t cols, const GridPlan& plan) const override {
    ASSIGN_OR_RETURN(TableGridOptions options,
                     ApplyPlan(options_, plan, name()));
    ValueSet values = PowerValues(
        options.bits, plan.exponent > 0 ? plan.exponent : exponent_, rounding_);
    options.reach = values.value((1 << options.bits) - 1);
    return std::make_unique<TableLayerGrid<float>>(rows, cols, options,
                                                   std::move(values));
  }

 private:
  TableGridOptions options_;
  const double exponent_;
  const PowerRounding rounding_;
};

}  // namespace

std::unique_ptr<Grid> NewPowerGrid(const v1::PowerGrid& options) {
  return std::make_unique<PowerGrid>(options);
}

}  // namespace quantd
