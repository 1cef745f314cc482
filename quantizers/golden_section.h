// Golden section search: the minimum of a function of one variable that falls
// and then rises, with one evaluation a step.
//
// The bracket [lower, upper] shrinks by (sqrt(5) - 1) / 2 a step until it is
// not wider than `tolerance`. Of all points that were looked at, the best is
// returned, the first among equals; the ends themselves are not looked at.
// Source: Kiefer, Sequential minimax search for a maximum, 1953.
#ifndef QUANTD_QUANTIZERS_GOLDEN_SECTION_H_
#define QUANTD_QUANTIZERS_GOLDEN_SECTION_H_

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

namespace quantd {

struct GoldenSectionOptions {
  double lower = 0;
  double upper = 1;
  double tolerance = 1e-3;  // positive
};

struct Minimum {
  double x = 0;
  double value = 0;
};

// How often the function is called at most.
int GoldenSectionCalls(const GoldenSectionOptions& options);

// The first error of `function` ends the search.
absl::StatusOr<Minimum> GoldenSection(
    const GoldenSectionOptions& options,
    absl::FunctionRef<absl::StatusOr<double>(double)> function);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_GOLDEN_SECTION_H_
