#include "quantizers/thin_svd.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <utility>

#include "Eigen/Eigenvalues"
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

// Makes the rows of `m` orthonormal: Gram-Schmidt, twice, which is orthogonal
// to working precision (Giraud, Langou, Rozloznik 2005). A row that depends on
// those before it becomes zero.
void Orthonormalize(Matrix* m) {
  constexpr double kDependent = 1e-12;
  for (int64_t i = 0; i < m->rows(); ++i) {
    const double before = m->row(i).norm();
    for (int round = 0; round < 2; ++round) {
      for (int64_t j = 0; j < i; ++j) {
        m->row(i) -= m->row(i).dot(m->row(j)) * m->row(j);
      }
    }
    const double after = m->row(i).norm();
    if (after > kDependent * before) {
      m->row(i) /= after;
    } else {
      m->row(i).setZero();
    }
  }
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

// The leading part of a matrix with rows <= cols, vectors as rows: m = sum_i
// sigma_i left_i right_i^T. From the eigenvectors of m m^T: of the small
// singular values, those below 1e-8 of the largest, only the size is right,
// which is what matters in an approximation by the leading ones.
struct WideSvd {
  Matrix left;   // [rank, rows]
  Matrix right;  // [rank, cols]
  std::vector<double> values;
};

WideSvd DecomposeWide(const Matrix& m, int64_t rank) {
  const Matrix gram = m * m.transpose();
  const Eigen::SelfAdjointEigenSolver<Matrix> eigen(gram);
  WideSvd svd;
  // Eigenvalues ascend.
  svd.left =
      eigen.eigenvectors().rightCols(rank).rowwise().reverse().transpose();
  // Where rounding has the last word on the vectors, they are made orthogonal
  // by hand.
  svd.right = svd.left * m;
  for (int64_t i = 0; i < rank; ++i)
    svd.values.push_back(svd.right.row(i).norm());
  Orthonormalize(&svd.right);
  return svd;
}

ThinSvd FromRows(Matrix left, Matrix right, std::vector<double> values) {
  ThinSvd result;
  result.rank = left.rows();
  for (int64_t i = 0; i < result.rank; ++i) {
    Eigen::Index largest = 0;
    left.row(i).cwiseAbs().maxCoeff(&largest);
    if (left(i, largest) < 0) {
      left.row(i) *= -1;
      right.row(i) *= -1;
    }
  }
  const Matrix columns = left.transpose();
  result.left.assign(columns.data(), columns.data() + columns.size());
  result.right.assign(right.data(), right.data() + right.size());
  result.singular_values = std::move(values);
  return result;
}

// A basis [k, rows], vectors as rows, that nearly holds the leading left
// singular vectors.
absl::StatusOr<Matrix> FindRange(const Tensor& a, const Tensor& transposed,
                                 int64_t k, const ThinSvdOptions& options,
                                 ExecutionContext& ctx) {
  // LinearProduct(x, w) is x w^T, so that a product with A takes its
  // transpose and the other way round.
  Tensor q = ToFloat(NormalMatrix(k, a.cols(), options.seed));
  Matrix basis = ToDouble(ops::LinearProduct(q, a, ctx));
  Orthonormalize(&basis);
  for (int i = 0; i < options.power_iterations; ++i) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    Matrix other =
        ToDouble(ops::LinearProduct(ToFloat(basis), transposed, ctx));
    Orthonormalize(&other);
    basis = ToDouble(ops::LinearProduct(ToFloat(other), a, ctx));
    Orthonormalize(&basis);
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
    const Matrix m = ToDouble(a);
    if (a.rows() <= a.cols()) {
      WideSvd svd = DecomposeWide(m, rank);
      return FromRows(std::move(svd.left), std::move(svd.right),
                      std::move(svd.values));
    }
    WideSvd svd = DecomposeWide(m.transpose(), rank);
    return FromRows(std::move(svd.right), std::move(svd.left),
                    std::move(svd.values));
  }
  const Tensor transposed = Transposed(a);
  ASSIGN_OR_RETURN(const Matrix basis,
                   FindRange(a, transposed, k, options, ctx));
  // B = Q^T A [k, cols].
  WideSvd svd = DecomposeWide(
      ToDouble(ops::LinearProduct(ToFloat(basis), transposed, ctx)), rank);
  return FromRows(svd.left * basis, std::move(svd.right),
                  std::move(svd.values));
}

}  // namespace quantd
