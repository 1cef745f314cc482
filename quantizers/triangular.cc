#include "quantizers/triangular.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>

#include "absl/functional/function_ref.h"
#include "base/status_macros.h"
#include "kernels/gemm_f64.h"

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

// c -= a b, c [count, n], on the calling thread.
void Subtract(const double* a, int64_t lda, int64_t count, int64_t k,
              const PackedF64& b, int64_t n, double* c, int64_t ldc) {
  MultiplyAddF64(-1.0, a, lda, count, k, b, n, c, ldc);
}

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
  PackedF64 packed;
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
    if (below == 0) break;
    const double* const first = a + (k + width) * n + k;
    packed.Pack(first, n, Transpose::kYes, width, below, ctx.device().pool());
    ForRows(below, ctx, [&](int64_t begin, int64_t count) {
      // The rows up to the diagonal, and a corner whose upper half is not ours.
      double* const rest = a + (k + width + begin) * n + k + width;
      double above[kPieceRows][kPieceRows];
      for (int64_t r = 0; r < count; ++r) {
        std::copy_n(rest + r * n + begin, count, above[r]);
      }
      Subtract(first + begin * n, n, count, width, packed, begin + count, rest,
               n);
      for (int64_t r = 0; r < count; ++r) {
        std::copy(above[r] + r + 1, above[r] + count,
                  rest + r * n + begin + r + 1);
      }
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
  PackedF64 packed_panel, packed_inverse;
  for (int64_t b = blocks - 1; b >= 0; --b) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    const int64_t k = b * kBlock;
    const int64_t width = std::min(kBlock, n - k);
    const int64_t below = n - k - width;
    auto diagonal = matrix.block(k, k, width, width);
    Matrix inverse = Matrix::Identity(width, width);
    diagonal.triangularView<Eigen::Lower>().solveInPlace(inverse);
    auto panel = matrix.block(k + width, k, below, width);
    if (below > 0) {
      packed_panel.Pack(l + (k + width) * n + k, n, Transpose::kNo, below,
                        width, ctx.device().pool());
      packed_inverse.Pack(inverse.data(), width, Transpose::kNo, width, width,
                          ctx.device().pool());
    }
    product.setZero(below, width);
    ForRows(below, ctx, [&](int64_t begin, int64_t count) {
      const double* const rest = l + (k + width + begin) * n + k + width;
      Matrix scaled = Matrix::Zero(count, width);
      MultiplyAddF64(1.0, rest, n, count, begin + count, packed_panel, width,
                     scaled.data(), width);
      Subtract(scaled.data(), width, count, width, packed_inverse, width,
               product.data() + begin * width, width);
    });
    panel = product;
    diagonal.triangularView<Eigen::Lower>() = inverse;
  }
  return absl::OkStatus();
}

}  // namespace quantd
