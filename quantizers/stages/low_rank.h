// LoRC, low-rank compensation: adds to a compressed layer the product of two
// thin matrices that is nearest to what was left over. Yao et al.,
// ZeroQuant-V2, arXiv:2303.08302.
//
//   E = W - What = U diag(sigma) V^T
//   A = U_m diag(sigma_m)^(1/2),  B = diag(sigma_m)^(1/2) V_m^T
//
// Needs no data, whatever solver came before.
#ifndef QUANTD_QUANTIZERS_STAGES_LOW_RANK_H_
#define QUANTD_QUANTIZERS_STAGES_LOW_RANK_H_

#include <cstdint>
#include <memory>

#include "models/layouts/low_rank_sum.h"
#include "quantd/v1/stages.pb.h"
#include "quantizers/stage.h"
#include "quantizers/thin_svd.h"

namespace quantd {

// The factors of `svd` [rows, cols], balanced, as they are stored. Integers:
// each component of A and of B has the scale of its largest element over 127.
LowRankFactors FactorsOf(const ThinSvd& svd, int64_t rows, int64_t cols,
                         FactorType type);

std::unique_ptr<Stage> NewLowRankStage(const v1::LowRankStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_LOW_RANK_H_
