#include "quantizers/thin_svd.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

#include "Eigen/QR"
#include "Eigen/SVD"
#include "base/status_macros.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

using Matrix =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using FloatView = Eigen::Map<
    Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
using ConstFloatView =
    Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic,
                                   Eigen::RowMajor>>;

Matrix ToDouble(const Tensor& t) {
  return ConstFloatView(t.data(), t.rows(), t.cols()).cast<double>();
}

Tensor ToFloat(const Matrix& m) {
  Tensor t = Tensor::Uninitialized({m.rows(), m.cols()});
  FloatView(t.data(), m.rows(), m.cols()) = m.cast<float>();
  return t;
}

Tensor Transposed(const Tensor& t) {
  Tensor out = Tensor::Uninitialized({t.cols(), t.rows()});
  FloatView(out.data(), t.cols(), t.rows()) =
      ConstFloatView(t.data(), t.rows(), t.cols()).transpose();
  return out;
}

// An orthonormal basis of the columns of m [n, k], n >= k.
Matrix Orthonormal(const Matrix& m) {
  const Eigen::HouseholderQR<Matrix> qr(m);
  return qr.householderQ() * Matrix::Identity(m.rows(), m.cols());
}

// Standard normal values by the Box-Muller transform: unlike
// std::normal_distribution, the same in every standard library.
Matrix NormalMatrix(int64_t rows, int64_t cols, uint64_t seed) {
  std::mt19937_64 engine(seed);
  const auto uniform = [&] {  // (0, 1]
    return (static_cast<double>(engine() >> 11) + 1) * 0x1p-53;
  };
  Matrix m(rows, cols);
  for (int64_t i = 0; i < m.size(); ++i) {
    const double radius = std::sqrt(-2 * std::log(uniform()));
    m.data()[i] = radius * std::cos(2 * std::numbers::pi * uniform());
  }
  return m;
}

// m = U S V^T cut to `rank`, for m [rows, cols] with U multiplied by `basis`
// from the left (empty: by nothing).
ThinSvd Decompose(const Matrix& m, const Matrix& basis, int64_t rank) {
  const Eigen::BDCSVD<Matrix> svd(m, Eigen::ComputeThinU | Eigen::ComputeThinV);
  Matrix left = svd.matrixU().leftCols(rank);
  if (basis.size() > 0) left = basis * left;
  Matrix right = svd.matrixV().leftCols(rank).transpose();
  for (int64_t i = 0; i < rank; ++i) {
    Eigen::Index largest = 0;
    left.col(i).cwiseAbs().maxCoeff(&largest);
    if (left(largest, i) < 0) {
      left.col(i) *= -1;
      right.row(i) *= -1;
    }
  }
  ThinSvd result;
  result.rank = rank;
  result.left.assign(left.data(), left.data() + left.size());
  result.right.assign(right.data(), right.data() + right.size());
  const auto& values = svd.singularValues();
  result.singular_values.assign(values.data(), values.data() + rank);
  return result;
}

// A basis [rows, k] that nearly holds the leading left singular vectors.
absl::StatusOr<Matrix> FindRange(const Tensor& a, const Tensor& transposed,
                                 int64_t k, const ThinSvdOptions& options,
                                 ExecutionContext& ctx) {
  // Y = A Omega; LinearProduct(x, w) is x w^T, hence the transposes.
  Tensor omega = ToFloat(NormalMatrix(k, a.cols(), options.seed));
  Matrix basis = Orthonormal(ToDouble(ops::LinearProduct(a, omega, ctx)));
  for (int i = 0; i < options.power_iterations; ++i) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    Tensor q = ToFloat(basis.transpose());
    const Matrix other =
        Orthonormal(ToDouble(ops::LinearProduct(transposed, q, ctx)));
    q = ToFloat(other.transpose());
    basis = Orthonormal(ToDouble(ops::LinearProduct(a, q, ctx)));
  }
  return basis;
}

}  // namespace

absl::StatusOr<ThinSvd> LeadingSvd(const Tensor& a, int64_t rank,
                                   const ThinSvdOptions& options,
                                   ExecutionContext& ctx) {
  RETURN_IF_ERROR(ctx.CheckCancelled());
  // Eigen's decomposition does not return for these.
  for (float v : a.values()) {
    if (!std::isfinite(v)) {
      return absl::InvalidArgumentError(
          "a matrix to decompose has a NaN or infinity");
    }
  }
  const int64_t extent = std::min(a.rows(), a.cols());
  const int64_t k = rank + options.oversampling;
  if (extent <= options.exact_extent || k >= extent) {
    return Decompose(ToDouble(a), Matrix(), rank);
  }
  const Tensor transposed = Transposed(a);
  ASSIGN_OR_RETURN(const Matrix basis,
                   FindRange(a, transposed, k, options, ctx));
  // B = Q^T A [k, cols].
  const Tensor q = ToFloat(basis.transpose());
  return Decompose(ToDouble(ops::LinearProduct(q, transposed, ctx)), basis,
                   rank);
}

}  // namespace quantd
