// Holm's adjustment of p values for a family of tests.
//
// A comparison is adjusted by the server over what it compares itself; a sweep
// makes one family of many comparisons, which only the client sees together.
//
// Thread-safe: a free function of its arguments.
#ifndef QUANTD_CLIENT_HOLM_H_
#define QUANTD_CLIENT_HOLM_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace quantd {

// Holm (Scand. J. Stat. 6, 1979, 65-70): of m values in rising order, the i-th
// (from 0) is multiplied by m - i, is at least as large as the one before, and
// at most 1. Rejecting what is at most alpha then keeps the chance of any false
// finding in the family at alpha, however the tests depend on each other.
// In the order of `p_values`. InvalidArgument for a value outside 0..1 or NaN.
absl::StatusOr<std::vector<double>> HolmAdjust(
    absl::Span<const double> p_values);

}  // namespace quantd

#endif  // QUANTD_CLIENT_HOLM_H_
