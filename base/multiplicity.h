// P values of a family of tests, raised so that looking at many tests does not
// find differences where there are none.
//
// The server adjusts what one comparison compares; a sweep is one family of
// many comparisons, which only the client sees together. Both adjust by these.
//
// Both return the adjusted values in the order given: a test is significant at
// level alpha when its adjusted value is at most alpha. InvalidArgument for a
// value that is NaN or outside 0..1 (its index is named); an empty family is an
// empty family. Equal values stay equal.
//
// Thread-safe: free functions of their arguments.
#ifndef QUANTD_BASE_MULTIPLICITY_H_
#define QUANTD_BASE_MULTIPLICITY_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace quantd {

// Holm (Scand. J. Stat. 6, 1979): the chance of any false finding is at most
// alpha, however the tests depend on each other. With p_(1) <= ... <= p_(m):
// max over j <= i of min(1, (m - j + 1) p_(j)).
absl::StatusOr<std::vector<double>> HolmAdjusted(
    absl::Span<const double> p_values);

// Benjamini and Hochberg (J. R. Stat. Soc. B 57, 1995): at most the share alpha
// of the findings is false on average, for independent or positively dependent
// tests. min over j >= i of min(1, m p_(j) / j).
absl::StatusOr<std::vector<double>> BenjaminiHochbergAdjusted(
    absl::Span<const double> p_values);

}  // namespace quantd

#endif  // QUANTD_BASE_MULTIPLICITY_H_
