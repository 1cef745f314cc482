// AWQ's search for input scales (Lin et al., arXiv:2306.00978, section 3.2,
// equations 4 and 5): a transform stage. For layers that read the same input,
//
//   s = max(mean|x|^alpha, 1e-4), s /= sqrt(max s min s), rounded to binary16
//   loss(alpha) = sum over layers tr(D H D^T),  D = Q(W diag(s)) diag(1/s) - W
//
// with alpha in {0, 1/n, .., 1 - 1/n} and Q rounding to the solver's grid; the
// first least loss wins, so that it is never above that of alpha = 0. H is the
// calibration second moment: the loss is the exact mean squared error of the
// layers' outputs over all tokens. (The reference code measures it behind
// attention or the gated product where several layers share their input, on a
// sample.)
//
// The scale is kept with each layer (models/layouts/input_scale.h), where the
// reference code folds it into the operation before.
#ifndef QUANTD_QUANTIZERS_STAGES_ACTIVATION_SCALING_H_
#define QUANTD_QUANTIZERS_STAGES_ACTIVATION_SCALING_H_

#include <memory>

#include "quantd/v1/stages.pb.h"
#include "quantizers/stage.h"

namespace quantd {

std::unique_ptr<Stage> NewActivationScalingStage(
    const v1::ActivationScalingStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_ACTIVATION_SCALING_H_
