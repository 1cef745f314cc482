// Bits per group of input channels by salience: SliM-LLM's salience-determined
// bit allocation (Huang et al., arXiv:2405.14917, section 3.2), for solvers
// whose grid follows a GridPlan.
//
// The salience of a group is the sum of w_oj^2 / U_jj^2 over its channels j and
// all rows o, with U the factor of the damped inverse second moment
// (second_moment.h). The p groups of least salience get bits - 1, the p of
// greatest bits + 1, the others bits: the average is exactly bits. Of p = 0 ..
// groups / 2 - 1 the stage keeps the one whose rounded weights move the
// softmax of the layer's outputs least on calibration inputs:
//
//   p* = argmin_p  mean over inputs x of KL(softmax(What_p x) || softmax(W x))
//
// What_p is W rounded to nearest, per row and group: affine grids, and mean +-
// alpha at 1 bit.
//
// Differences from the reference code: p = 0, the uniform allocation, is a
// candidate, so that layers of less than four groups have one; H is damped
// relatively and in a copy.
#ifndef QUANTD_QUANTIZERS_STAGES_BIT_ALLOCATION_H_
#define QUANTD_QUANTIZERS_STAGES_BIT_ALLOCATION_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "quantd/v1/stages.pb.h"
#include "quantizers/affine_grid.h"
#include "quantizers/stage.h"
#include "tensor/tensor.h"

namespace quantd {

// The salience of every group of `group_size` input channels of `weight`.
// `factor_diagonal` [cols]: U_jj.
std::vector<double> GroupSalience(const Tensor& weight,
                                  absl::Span<const double> factor_diagonal,
                                  int64_t group_size, ExecutionContext& ctx);

// `bits`, one less for the `pairs` groups of least salience and one more for
// the `pairs` groups of greatest; ties in group order. REQUIRES: 2 * pairs <=
// salience.size().
std::vector<uint8_t> WidthsBySalience(absl::Span<const double> salience,
                                      int bits, int64_t pairs);

// Mean over rows of KL(softmax(approximate) || softmax(exact)), natural log.
// Probabilities below 1e-6 are raised to it, as in the reference code, and
// scaled to a sum of 1 again: it is never negative, and 0 for equal arguments.
double SoftmaxDivergence(const Tensor& approximate, const Tensor& exact,
                         ExecutionContext& ctx);

struct BitAllocation {
  std::vector<uint8_t> group_bits;
  // The divergence for p = 0, 1, ...: the search's curve.
  std::vector<double> divergence;
  // The p that was kept: the first minimum of the curve.
  int64_t pairs = 0;
};

// `inputs` [n, cols]: calibration inputs of the layer; `salience`: of the
// groups of `grid`, whose bits are the average. At 8 bits, the most that codes
// have, all groups stay alike. REQUIRES: the group size divides the columns.
// Cancelled when the context is.
absl::StatusOr<BitAllocation> AllocateBits(const Tensor& weight,
                                           const Tensor& inputs,
                                           absl::Span<const double> salience,
                                           const AffineGridOptions& grid,
                                           ExecutionContext& ctx);

std::unique_ptr<Stage> NewBitAllocationStage(
    const v1::BitAllocationStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_BIT_ALLOCATION_H_
