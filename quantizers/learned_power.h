// Learned powers: the codes of a layer on the power grid (grids/power.h) as a
// function that gradient descent can follow (models/tunable_linear.h). NUPES in
// its data-driven mode (Yvinec et al., arXiv:2308.05600). With w the original
// weight, b the bits:
//
//   s = R^a / (2^(b-1) - 1)              R: the range of w's group
//   u = sign(w) |w|^a / s + v
//   code = clip(round(u), -2^(b-1), 2^(b-1) - 1)
//   weight = sign(code) (|code| s)^(1/a)
//
// Parameters: the offsets v [rows, cols], in units of codes, then with the
// range the exponent a [1], of one layer. Offsets have no bounds, so that a
// code may move by several (the paper's "entire quantized space"; AdaRound has
// one step). The range of a group is max|w|, or what the solver made of it; s
// follows the exponent in every step. Gradients as in ops::ToPowerUnits() and
// ops::FromPowerUnits() (tensor/estimators.h).
//
// What is computed with is what is stored: scales in binary16 over a table that
// a power of two brings to their size. What nobody changed freezes to the
// solver's layer, byte for byte.
#ifndef QUANTD_QUANTIZERS_LEARNED_POWER_H_
#define QUANTD_QUANTIZERS_LEARNED_POWER_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "models/compressed_linear.h"
#include "models/tunable_linear.h"
#include "quantizers/learned_layers.h"
#include "tensor/tensor.h"

namespace quantd {

// The exponent of a table that PowerValues() made, which is not stored; nullopt
// when it is none. From -2^(b-1) and 1, the codes furthest apart:
//   1/a = log(|values[0]| / values[2^(b-1) + 1]) / log(2^(b-1)),
// to the precision of binary32.
std::optional<double> ExponentOfPowerValues(const std::vector<float>& values);

// `start` has the grid and the codes to begin with; `weight` is the original.
// InvalidArgument: the layer is no lookup-table.v1, or its table is not that of
// a power grid. REQUIRES: equal shapes.
absl::StatusOr<std::unique_ptr<TunableLinear>> NewLearnedPower(
    const CompressedLinear& start, const Tensor& weight,
    const LearnedOptions& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_LEARNED_POWER_H_
