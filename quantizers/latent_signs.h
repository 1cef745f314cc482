// Latent weights: a layer of signs or of pairs of bits as a function of real
// weights that gradient descent can follow (models/tunable_linear.h). They
// begin at the original weights w and decide the codes, here and in every step
// anew.
//
// partially-binary.v1 (training of PB-LLM, arXiv:2310.00034; the scale as in
// XNOR-Net, arXiv:1603.05279): salient weights stay as the solver left them.
// Of the others, with averages over those of a row and group,
//
//   value = mean + alpha sign(w - mean),  sign(0) = +1
//   mean = average of w, or 0 where the layer is not centered
//   alpha = average of |w - mean|
//
// The gradient passes the sign straight through, as if alpha sign(w - mean)
// were w - mean, and goes through alpha and mean as they are computed. Unlike
// in PB-LLM's reference code, which stops at alpha and takes one for all rows.
//
// dual-binary.v1 (DB-LLM, arXiv:2402.11960): the value nearest to w, by the
// levels of its group, which are learned too where `learn_range` says so, at
// `range_rate`. The gradient passes straight through to w from the group's
// least to its greatest value and stops outside; that of the levels is exact,
// given the codes.
//
// What is stored as F16 is rounded to it within the function.
#ifndef QUANTD_QUANTIZERS_LATENT_SIGNS_H_
#define QUANTD_QUANTIZERS_LATENT_SIGNS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "models/compressed_linear.h"
#include "models/tunable_linear.h"
#include "quantizers/learned_layers.h"
#include "tensor/tensor.h"

namespace quantd {

// `start` has the mask, salient weights and levels to begin with; `weight` is
// the original. InvalidArgument: the layer has neither layout; from Freeze()
// also: a latent weight is not finite. REQUIRES: equal shapes.
absl::StatusOr<std::unique_ptr<TunableLinear>> NewLatentSigns(
    const CompressedLinear& start, const Tensor& weight,
    const LearnedOptions& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_LATENT_SIGNS_H_
