#include "quantizers/grid_validation.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "proto/field_rules.h"

namespace quantd {

absl::Status ValidateGroupSize(int64_t group_size, absl::string_view prefix,
                               const LinearShape& layer) {
  const std::string field = absl::StrCat(prefix, ".group_size");
  if (group_size == 0 || group_size < -1) {
    return InvalidField(
        field, "must be -1 (one group per output channel) or positive");
  }
  if (group_size > 0 && layer.cols % group_size != 0) {
    return InvalidField(
        field, absl::StrCat(group_size, " does not divide the ", layer.cols,
                            " input channels of layer ", layer.name));
  }
  return absl::OkStatus();
}

absl::Status RefuseExponent(absl::string_view grid, const GridPlan& plan) {
  if (plan.exponent == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("an exponent was chosen for the layer, but a grid of kind ",
                   grid, " has none"));
}

absl::Status RefusePlan(absl::string_view grid, const GridPlan& plan) {
  RETURN_IF_ERROR(RefuseExponent(grid, plan));
  if (plan.group_size == 0 && plan.group_bits.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "grid ", grid,
      " has no groups of input channels whose size or bits could be chosen"));
}

absl::Status ValidateGridFor(const AffineGridOptions& grid,
                             absl::string_view prefix,
                             const LinearShape& layer) {
  return ValidateGroupSize(grid.group_size, prefix, layer);
}

}  // namespace quantd
