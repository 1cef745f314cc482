// GPTQ: error-compensating rounding with the second moment of the layer's
// inputs. Frantar et al., arXiv:2210.17323, algorithm 1, with the options of
// its reference code (act order, static groups, true-sequential order).
#ifndef QUANTD_QUANTIZERS_STAGES_GPTQ_H_
#define QUANTD_QUANTIZERS_STAGES_GPTQ_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "models/layouts/packed_int.h"
#include "quantd/v1/recipe.pb.h"
#include "quantizers/affine_grid.h"
#include "quantizers/second_moment.h"
#include "quantizers/stage.h"

namespace quantd {

struct GptqOptions {
  AffineGridOptions grid;
  bool act_order = true;
  bool static_groups = true;
  double damping = 0.01;
  int64_t column_block = 128;
};

// What layers with the same inputs share.
template <typename Real>
struct GptqFactor {
  // Sweep position -> input channel.
  std::vector<int64_t> order;
  // Factor of the inverse of the damped H in sweep order (second_moment.h),
  // [cols, cols].
  std::vector<Real> upper;
  double damping = 0;
  int retries = 0;
  // Input channels that no calibration token excited, in order.
  std::vector<int64_t> dead_inputs;
};

// `h` [cols, cols]. Errors as FactorDampedInverse().
template <typename Real>
absl::StatusOr<GptqFactor<Real>> FactorForGptq(const SquareMatrix& h,
                                               const GptqOptions& options,
                                               ExecutionContext& ctx);

// The outcome for one layer.
struct GptqResult {
  PackedIntWeights weights;  // columns in original order
  // sum (w - q)^2 / (2 U_jj^2).
  double loss = 0;
};

// The algorithm on one layer: `weight` [rows, cols]; `factor` was made with
// the same options. Instantiated for float (production) and double (checks
// against exact results).
template <typename Real>
absl::StatusOr<GptqResult> QuantizeGptq(int64_t rows, int64_t cols,
                                        const Real* weight,
                                        const GptqFactor<Real>& factor,
                                        const GptqOptions& options,
                                        ExecutionContext& ctx);

std::unique_ptr<Stage> NewGptqStage(const v1::GptqStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_GPTQ_H_
