#include "quantizers/grid_validation.h"

#include "absl/strings/str_cat.h"
#include "proto/field_rules.h"

namespace quantd {

absl::Status ValidateGridFor(const AffineGridOptions& grid,
                             absl::string_view prefix,
                             const LinearShape& layer) {
  if (grid.group_size == 0 || grid.group_size < -1) {
    return InvalidField(absl::StrCat(prefix, ".group_size"),
                        "must be -1 (one group per output channel) or "
                        "positive");
  }
  if (layer.cols % grid.GroupSizeFor(layer.cols) != 0) {
    return InvalidField(
        absl::StrCat(prefix, ".group_size"),
        absl::StrCat(grid.group_size, " does not divide the ", layer.cols,
                     " input channels of layer ", layer.name));
  }
  return absl::OkStatus();
}

absl::Status RefusePlan(absl::string_view grid, const GridPlan& plan) {
  if (plan.group_size == 0 && plan.group_bits.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "grid ", grid,
      " has no groups of input channels whose size or bits could be chosen"));
}

}  // namespace quantd
