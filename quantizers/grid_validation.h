// Whether a grid fits a layer and what was decided for it.
#ifndef QUANTD_QUANTIZERS_GRID_VALIDATION_H_
#define QUANTD_QUANTIZERS_GRID_VALIDATION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "quantizers/affine_grid.h"
#include "quantizers/stage.h"

namespace quantd {

// InvalidArgument naming "<prefix>.group_size", the layer and its input size
// when `group_size` is neither -1 nor a divisor of it.
absl::Status ValidateGroupSize(int64_t group_size, absl::string_view prefix,
                               const LinearShape& layer);

// The same for the group size of an affine grid.
absl::Status ValidateGridFor(const AffineGridOptions& grid,
                             absl::string_view prefix,
                             const LinearShape& layer);

// For kinds without an exponent: InvalidArgument naming the kind when `plan`
// has one.
absl::Status RefuseExponent(absl::string_view grid, const GridPlan& plan);

// For kinds that cannot follow an allocate stage: InvalidArgument naming the
// kind when `plan` decides anything.
absl::Status RefusePlan(absl::string_view grid, const GridPlan& plan);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_GRID_VALIDATION_H_
