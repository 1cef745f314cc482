// Learned rounding: the codes of a layer on an affine grid as a function that
// gradient descent can follow (models/tunable_linear.h). With w the original
// weight, s and z scale and zero point of its group, Q = 2^bits - 1:
//
//   kOffset    code = clip(round(w / s + z + v), 0, Q)       AutoRound,
//              v from -0.5 to 0.5, the ends of a group's range times factors of
//              at most 1; straight through the rounding.      arXiv:2309.05516
//   kSigmoid   code = clip(floor(w / s + z) + h(v), 0, Q)    AdaRound,
//              h soft while it is learned, 0 or 1 in the end; arXiv:2004.10568
//   kDivision  code = clip(round(w / (s S c) + z), 0, Q)      FlexRound,
//              s by group, S by weight, c by row, all learned as logarithms;
//                                                             arXiv:2306.00317
//   kClipping  code = clip(round(w / s + z), 0, Q)           OmniQuant (LWC),
//              ends of the range times sigmoids.              arXiv:2308.13137
//
// Scales are rounded to binary16 within the function: the codes are those of
// the stored scales.
#ifndef QUANTD_QUANTIZERS_LEARNED_ROUNDING_H_
#define QUANTD_QUANTIZERS_LEARNED_ROUNDING_H_

#include <memory>

#include "models/layouts/packed_int.h"
#include "models/tunable_linear.h"
#include "tensor/tensor.h"

namespace quantd {

enum class RoundingVariable { kOffset, kSigmoid, kDivision, kClipping };

struct LearnedRoundingOptions {
  RoundingVariable variable = RoundingVariable::kOffset;
  // Whether scales and zero points are learned, where that is a choice.
  bool learn_range = true;
  // Of their learning rate.
  double range_rate = 1;
  // kSigmoid: weight of ops::RoundingPenalty(), whose beta falls from 20 to 2
  // after the share `penalty_start` of the steps.
  double penalty = 0.01;
  double penalty_start = 0.2;
};

// `weight` [rows, cols] is the original; `start` has the grid, and for kOffset
// the codes to begin with. REQUIRES: equal shapes.
std::unique_ptr<TunableLinear> NewLearnedRounding(
    PackedIntWeights start, Tensor weight,
    const LearnedRoundingOptions& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_LEARNED_ROUNDING_H_
