#include "quantizers/triangular.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>

#include "absl/functional/function_ref.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

using Matrix =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Map = Eigen::Map<Matrix>;

// Columns per step: wide enough that nearly all work is in matrix products,
// narrow enough that the serial diagonal blocks cost little.
constexpr int64_t kBlock = 128;
// Rows per piece of work; fixed, so that the partition does not depend on the
// threads.
constexpr int64_t kPieceRows = 64;

// Calls body(begin, count) for pieces of the rows [0, rows).
void ForRows(int64_t rows, ExecutionContext& ctx,
             absl::FunctionRef<void(int64_t begin, int64_t count)> body) {
  const int64_t pieces = (rows + kPieceRows - 1) / kPieceRows;
  ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
    const int64_t begin = piece * kPieceRows;
    body(begin, std::min(kPieceRows, rows - begin));
  });
}

}  // namespace

absl::StatusOr<bool> CholeskyInPlace(int64_t n, double* a,
                                     ExecutionContext& ctx) {
  Map matrix(a, n, n);
  for (int64_t k = 0; k < n; k += kBlock) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    const int64_t width = std::min(kBlock, n - k);
    const int64_t below = n - k - width;
    auto diagonal = matrix.block(k, k, width, width);
    const Eigen::LLT<Matrix> factor(diagonal);
    if (factor.info() != Eigen::Success) return false;
    diagonal.triangularView<Eigen::Lower>() = factor.matrixLLT();
    // Panel: P = A_21 L_11^-T. Then A_22 -= P P^T, its lower triangle.
    auto panel = matrix.block(k + width, k, below, width);
    ForRows(below, ctx, [&](int64_t begin, int64_t count) {
      auto rows = panel.middleRows(begin, count);
      factor.matrixU().solveInPlace<Eigen::OnTheRight>(rows);
    });
    auto rest = matrix.block(k + width, k + width, below, below);
    ForRows(below, ctx, [&](int64_t begin, int64_t count) {
      rest.block(begin, 0, count, begin).noalias() -=
          panel.middleRows(begin, count) * panel.topRows(begin).transpose();
      const Matrix corner = panel.middleRows(begin, count) *
                            panel.middleRows(begin, count).transpose();
      rest.block(begin, begin, count, count).triangularView<Eigen::Lower>() -=
          corner;
    });
  }
  return true;
}

absl::Status InvertLowerInPlace(int64_t n, double* l, ExecutionContext& ctx) {
  Map matrix(l, n, n);
  // From the last block column to the first: with the part to the lower right
  // inverted already,
  //   [D 0; P R]^-1 = [D^-1 0; -R^-1 P D^-1  R^-1].
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  Matrix product;
  for (int64_t b = blocks - 1; b >= 0; --b) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    const int64_t k = b * kBlock;
    const int64_t width = std::min(kBlock, n - k);
    const int64_t below = n - k - width;
    auto diagonal = matrix.block(k, k, width, width);
    Matrix inverse = Matrix::Identity(width, width);
    diagonal.triangularView<Eigen::Lower>().solveInPlace(inverse);
    auto panel = matrix.block(k + width, k, below, width);
    const auto rest = matrix.block(k + width, k + width, below, below);
    product.resize(below, width);
    ForRows(below, ctx, [&](int64_t begin, int64_t count) {
      const int64_t end = begin + count;
      const Matrix scaled =
          rest.block(begin, 0, count, end) * panel.topRows(end);
      product.middleRows(begin, count).noalias() = -(scaled * inverse);
    });
    panel = product;
    diagonal.triangularView<Eigen::Lower>() = inverse;
  }
  return absl::OkStatus();
}

}  // namespace quantd
