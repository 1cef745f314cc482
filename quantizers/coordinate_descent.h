// Cyclic coordinate descent on a layer's output error over the values of a
// grid. Behdin et al., QuantEase, arXiv:2309.01885.
//
//   f(What) = tr(D H D^T),   D = W - What
//   beta_j = W_j + sum_{k != j} D_k H_kj / H_jj,   What_j <- q(beta_j)
//
// beta_j minimises f over column j alone, and f is a parabola in every element,
// so the nearest value of the grid is the best one: a pass over all columns
// that starts from values of the grid never raises f. A relaxed pass leaves
// What_j = beta_j off the grid, so that the following passes can leave the
// valley they are in. The best values on the grid are kept, row by row (of
// grids whose codes stand for several rows, by such rows together).
//
// With N_kj = H_kj / H_jj off the diagonal and 0 on it, a pass is one product
// G = D N and a triangular correction while columns change.
//
// With outliers, f(What + S) is minimised over What on the grid and S with a
// bounded number of elements or columns: passes over What towards W - S
// alternate with iterative hard thresholding,
//
//   S <- Top(S + alpha / (2 lambda_max(H)) * D H),   D = W - S - What.
//
// Free functions, thread-safe. Instantiated for float (production) and double
// (checks against exact results).
#ifndef QUANTD_QUANTIZERS_COORDINATE_DESCENT_H_
#define QUANTD_QUANTIZERS_COORDINATE_DESCENT_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "quantizers/layer_grid.h"
#include "quantizers/outliers.h"
#include "quantizers/second_moment.h"

namespace quantd {

// What S may hold.
enum class OutlierSearch { kNone, kEntries, kColumns };

struct CoordinateDescentOptions {
  int passes = 30;
  // Passes 1, 1 + period, ... are relaxed; 0: none. The last
  // `quantized_passes` never are.
  int relax_period = 3;
  int quantized_passes = 4;
  OutlierSearch outlier_search = OutlierSearch::kNone;
  // Of the elements, or of the columns, of the matrix.
  double outlier_fraction = 0.01;
  double outlier_step = 1.0;  // alpha, below 2

  // Never true while outliers are searched.
  bool Relaxed(int pass) const {
    return outlier_search == OutlierSearch::kNone && relax_period > 0 &&
           pass % relax_period == 1 % relax_period &&
           pass < passes - quantized_passes;
  }
};

// What layers with the same inputs share.
template <typename Real>
struct DescentMoment {
  std::vector<int64_t> order;    // sweep position -> input channel
  std::vector<double> diagonal;  // H_jj in sweep order
  std::vector<Real> normalized;  // N [cols, cols] in sweep order
  double largest_eigenvalue = 0;
};

// `order` as in FactorDampedInverse(); empty: channels in their own order.
template <typename Real>
DescentMoment<Real> NewDescentMoment(const SquareMatrix& h,
                                     absl::Span<const int64_t> order);

template <typename Real>
struct DescentResult {
  // f after every pass; of the outlier search, after every thresholding too.
  std::vector<double> objectives;
  double objective = 0;  // of what was kept
  // S and where What + S takes the place of What; empty without a search.
  OutlierMask outliers;
  std::vector<Real> outlier_values;  // What + S, as outliers.columns
  // ||S||_0 after every thresholding.
  std::vector<int64_t> support_sizes;
};

// `weight` [rows, cols] in channel order. `start` is null (What starts as W, or
// as W - S), or [rows, cols] in channel order with values of `grid`. The grid's
// groups were fitted; afterwards it holds the codes of what was kept. Cancelled
// when the context is.
template <typename Real>
absl::StatusOr<DescentResult<Real>> DescendOnGrid(
    int64_t rows, int64_t cols, const Real* weight, const Real* start,
    const DescentMoment<Real>& moment, const CoordinateDescentOptions& options,
    LayerGrid<Real>& grid, ExecutionContext& ctx);

// The first support of a search: the largest elements of `weight` [rows, cols],
// or its columns of largest l2 norm. REQUIRES: a search.
template <typename Real>
OutlierMask FirstOutliers(int64_t rows, int64_t cols, const Real* weight,
                          const CoordinateDescentOptions& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_COORDINATE_DESCENT_H_
