// FACTORS: the codebook of a layer as a product that gradient descent can
// follow, codes fixed (Zhu et al., LR2VQ, arXiv:2211.11397):
//
//   codebook [k, v] = C P,  C [k, rank],  P [rank, v]
//
// The rank is the one that the codebook has: of its singular values those above
// 2 % of the greatest. Below lies what storing entries in 8 bits adds to a
// codebook that was of lower rank; a direction so weak would be no loss either.
// Both factors are folded into the codebook when they are stored.
#ifndef QUANTD_QUANTIZERS_FACTORED_CODEBOOK_H_
#define QUANTD_QUANTIZERS_FACTORED_CODEBOOK_H_

#include <memory>

#include "absl/status/statusor.h"
#include "models/compressed_linear.h"
#include "models/tunable_linear.h"
#include "quantizers/learned_layers.h"
#include "tensor/tensor.h"

namespace quantd {

// Parameters: C [k, rank], the transpose of P [v, rank], then the row scales of
// the layout if it has them. InvalidArgument: the layer is no
// vector-codebook.v1 with one codebook.
absl::StatusOr<std::unique_ptr<TunableLinear>> NewFactoredCodebook(
    const CompressedLinear& start, const Tensor& original,
    const LearnedOptions& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_FACTORED_CODEBOOK_H_
