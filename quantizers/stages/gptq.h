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
#include "quantd/v1/stages.pb.h"
#include "quantizers/layer_grid.h"
#include "quantizers/second_moment.h"
#include "quantizers/stage.h"

namespace quantd {

struct GptqOptions {
  bool act_order = true;
  bool static_groups = true;
  double damping = 0.01;
  int64_t column_block = 128;
};

// Sweep positions to input channels: as they are, or by decreasing diagonal of
// H, ties in channel order.
std::vector<int64_t> SweepOrder(const SquareMatrix& h, bool act_order);

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

// The outcome for one layer, beside the codes that the grid holds.
struct GptqResult {
  // sum (w - q)^2 / (2 U_jj^2).
  double loss = 0;
  // For LayerGrid::Finish(): set when groups are runs of sweep positions.
  std::vector<int32_t> group_index;
};

// The algorithm on one layer: `weight` [rows, cols]; `factor` was made with
// the same options; `importance` [rows, cols] or null goes into the fits of
// `grid`, which was prepared. Instantiated for float (production) and double
// (checks against exact results).
template <typename Real>
absl::StatusOr<GptqResult> QuantizeGptq(
    int64_t rows, int64_t cols, const Real* weight, const float* importance,
    const GptqFactor<Real>& factor, const GptqOptions& options,
    LayerGrid<Real>& grid, ExecutionContext& ctx);

// U_jj of every input channel, in the channels' own order.
template <typename Real>
std::vector<Real> FactorDiagonal(const GptqFactor<Real>& factor);

std::unique_ptr<Stage> NewGptqStage(const v1::GptqStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_GPTQ_H_
