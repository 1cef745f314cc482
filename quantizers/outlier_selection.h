// Which weights of a matrix [rows, cols], row-major, are outliers: by size, by
// distance from the mean, or at random (the control that every criterion has to
// beat).
//
// Results depend on the arguments alone; of equal values the first in row-major
// order is taken. Free functions, thread-safe; instantiated for float and
// double.
#ifndef QUANTD_QUANTIZERS_OUTLIER_SELECTION_H_
#define QUANTD_QUANTIZERS_OUTLIER_SELECTION_H_

#include <cstdint>

#include "quantizers/outliers.h"

namespace quantd {

// ceil(fraction * total): a fraction above 0 is at least one.
int64_t OutlierCount(double fraction, int64_t total);

// The `count` elements of largest size.
template <typename Real>
OutlierMask LargestEntries(int64_t rows, int64_t cols, const Real* values,
                           int64_t count);

// All elements of the `count` columns of largest l2 norm.
template <typename Real>
OutlierMask LargestColumns(int64_t rows, int64_t cols, const Real* values,
                           int64_t count);

// Every element with |v - mean| >= sigmas * standard deviation, both over the
// whole matrix; none when all are equal.
template <typename Real>
OutlierMask EntriesBeyond(int64_t rows, int64_t cols, const Real* values,
                          double sigmas);

// `count` elements, or all elements of `count` columns, each choice equally
// likely.
OutlierMask RandomEntries(int64_t rows, int64_t cols, int64_t count,
                          uint64_t seed);
OutlierMask RandomColumns(int64_t rows, int64_t cols, int64_t count,
                          uint64_t seed);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_OUTLIER_SELECTION_H_
