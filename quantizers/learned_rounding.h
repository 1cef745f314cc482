// Learned rounding: the codes of a layer on an affine grid as a function that
// gradient descent can follow (models/tunable_linear.h). With w the original
// weight, s and z scale and zero point of its group, Q = 2^bits - 1:
//
//   OFFSET    code = clip(round(w / s + z + v), 0, Q)       AutoRound,
//              v from -0.5 to 0.5, the ends of a group's range times factors of
//              at most 1; straight through the rounding.      arXiv:2309.05516
//   SIGMOID   code = clip(floor(w / s + z) + h(v), 0, Q)    AdaRound,
//              h soft while it is learned, 0 or 1 in the end; arXiv:2004.10568
//   DIVISION  code = clip(round(w / (s S c) + z), 0, Q)      FlexRound,
//              s by group, S by weight, c by row, all learned as logarithms;
//                                                             arXiv:2306.00317
//   CLIPPING  code = clip(round(w / s + z), 0, Q)           OmniQuant (LWC),
//              ends of the range times sigmoids.              arXiv:2308.13137
//
// Scales are rounded to binary16 within the function: the codes are those of
// the stored scales.
#ifndef QUANTD_QUANTIZERS_LEARNED_ROUNDING_H_
#define QUANTD_QUANTIZERS_LEARNED_ROUNDING_H_

#include <memory>

#include "absl/status/statusor.h"
#include "models/compressed_linear.h"
#include "models/tunable_linear.h"
#include "quantizers/learned_layers.h"
#include "tensor/tensor.h"

namespace quantd {

// `start` has the grid, and for OFFSET the codes to begin with; `weight` is the
// original. `options.variable` says which of the four. InvalidArgument: the
// layer is neither packed-int.v1 nor
// mixed-int.v1. REQUIRES: equal shapes.
absl::StatusOr<std::unique_ptr<TunableLinear>> NewLearnedRounding(
    const CompressedLinear& start, const Tensor& weight,
    const LearnedOptions& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_LEARNED_ROUNDING_H_
