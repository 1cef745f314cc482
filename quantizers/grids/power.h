// The power grid: integers of a power of the weight,
//
//   t = |w|^a, s = max t / (2^(b-1) - 1), code = sign(w) * round(t / s),
//   q(w) = sign(code) * (|code| * s)^(1/a)
//
// with codes in [-2^(b-1), 2^(b-1) - 1]. a = 1 is the signed symmetric integer
// grid; smaller exponents have finer steps near zero. Because (x w)^a =
// x^a w^a, a layer needs one table c^(1/a) and a scale s^(1/a) per group. The
// table is scaled by the power of two that brings its end nearest to
// 2^(b-1) - 1: scales then are as large as those of an affine grid, and normal
// binary16 numbers where those are. Kept as lookup-table.v1.
//
// Sources: Yvinec et al., PowerQuant, arXiv:2301.09858; Yvinec et al., NUPES,
// arXiv:2308.05600.
#ifndef QUANTD_QUANTIZERS_GRIDS_POWER_H_
#define QUANTD_QUANTIZERS_GRIDS_POWER_H_

#include <memory>
#include <vector>

#include "quantd/v1/grids.pb.h"
#include "quantizers/grid.h"
#include "quantizers/value_set.h"

namespace quantd {

// Where a weight between two values goes.
enum class PowerRounding {
  kPower,  // to the nearest code of |w|^a, as the papers define it
  kValue,  // to the nearest value
};

// The table of exponent `a`, code c + 2^(bits-1) at that index.
ValueSet PowerValues(int bits, double exponent, PowerRounding rounding);

std::unique_ptr<Grid> NewPowerGrid(const v1::PowerGrid& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_GRIDS_POWER_H_
