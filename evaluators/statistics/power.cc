#include "evaluators/statistics/power.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/statistics/special_functions.h"

namespace quantd {
namespace {

constexpr double kMostItems = 1e15;

// z_alpha + z_power.
absl::StatusOr<double> SumOfQuantiles(double variance,
                                      const PowerOptions& options) {
  if (!(variance >= 0) || std::isinf(variance)) {
    return absl::InvalidArgumentError(absl::StrCat("variance ", variance));
  }
  if (!(options.alpha > 0 && options.alpha < options.power &&
        options.power < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("alpha ", options.alpha, " and power ", options.power,
                     " do not rise between 0 and 1"));
  }
  const double tail =
      options.sides == Sides::kTwo ? options.alpha / 2 : options.alpha;
  return NormalQuantile(1 - tail) + NormalQuantile(options.power);
}

}  // namespace

absl::StatusOr<double> MinimumDetectableEffect(double variance, uint64_t items,
                                               const PowerOptions& options) {
  ASSIGN_OR_RETURN(const double z, SumOfQuantiles(variance, options));
  if (items == 0) return absl::InvalidArgumentError("no items");
  return z * std::sqrt(variance / static_cast<double>(items));
}

absl::StatusOr<uint64_t> NeededItems(double variance, double effect,
                                     const PowerOptions& options) {
  ASSIGN_OR_RETURN(const double z, SumOfQuantiles(variance, options));
  if (effect == 0 || !std::isfinite(effect)) {
    return absl::InvalidArgumentError(absl::StrCat("effect ", effect));
  }
  const double ratio = z / effect;
  const double items = std::ceil(ratio * ratio * variance);
  if (!(items <= kMostItems)) {
    return absl::OutOfRangeError(
        absl::StrCat("an effect of ", effect, " needs ", items, " items"));
  }
  return static_cast<uint64_t>(std::max(1.0, items));
}

}  // namespace quantd
