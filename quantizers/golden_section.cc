#include "quantizers/golden_section.h"

#include <cmath>

#include "base/status_macros.h"

namespace quantd {
namespace {

constexpr double kRatio = 0.6180339887498949;  // (sqrt(5) - 1) / 2

}  // namespace

int GoldenSectionCalls(const GoldenSectionOptions& options) {
  int calls = 2;
  double width = options.upper - options.lower;
  for (; width > options.tolerance; width *= kRatio) ++calls;
  return calls;
}

absl::StatusOr<Minimum> GoldenSection(
    const GoldenSectionOptions& options,
    absl::FunctionRef<absl::StatusOr<double>(double)> function) {
  double lower = options.lower;
  double upper = options.upper;
  double left = upper - kRatio * (upper - lower);
  double right = lower + kRatio * (upper - lower);
  ASSIGN_OR_RETURN(double at_left, function(left));
  ASSIGN_OR_RETURN(double at_right, function(right));
  Minimum best = {left, at_left};
  if (at_right < best.value) best = {right, at_right};
  const int steps = GoldenSectionCalls(options) - 2;
  for (int i = 0; i < steps; ++i) {
    const bool keep_left = at_left <= at_right;
    double probe;
    if (keep_left) {
      upper = right;
      right = left;
      at_right = at_left;
      probe = left = upper - kRatio * (upper - lower);
    } else {
      lower = left;
      left = right;
      at_left = at_right;
      probe = right = lower + kRatio * (upper - lower);
    }
    ASSIGN_OR_RETURN(const double value, function(probe));
    (keep_left ? at_left : at_right) = value;
    if (value < best.value) best = {probe, value};
  }
  return best;
}

}  // namespace quantd
