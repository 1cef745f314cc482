#include "quantizers/second_moment.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "absl/status/status.h"

namespace quantd {
namespace {

using RowMajorMatrix =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Map = Eigen::Map<const RowMajorMatrix>;

std::vector<double> DampingLadder(double damping) {
  std::vector<double> ladder = {damping};
  for (int i = 1; i <= 10; ++i) ladder.push_back(damping + 0.0015 * i);
  for (double step : {0.1, 1.0}) {
    if (step > ladder.back()) ladder.push_back(step);
  }
  return ladder;
}

}  // namespace

void SecondMomentAccumulator::Add(const Tensor& inputs, int64_t sequences,
                                  ExecutionContext& ctx) {
  ctx.device().AccumulateGram(inputs.data(), inputs.rows(), inputs.cols(),
                              gram_.values.data());
  sequences_ += sequences;
}

SquareMatrix SecondMomentAccumulator::Finish() const {
  SquareMatrix h = gram_;
  const double scale =
      2.0 / static_cast<double>(std::max<int64_t>(1, sequences_));
  for (double& value : h.values) value *= scale;
  return h;
}

absl::StatusOr<InverseFactor> FactorDampedInverse(const SquareMatrix& h,
                                                  double damping) {
  if (!std::all_of(h.values.begin(), h.values.end(),
                   [](double v) { return std::isfinite(v); })) {
    return absl::InvalidArgumentError(
        "the second moment of the inputs has a NaN or infinity");
  }
  const int64_t n = h.n;
  const Map matrix(h.values.data(), n, n);
  const double mean_diagonal = matrix.trace() / static_cast<double>(n);
  InverseFactor result;
  for (double share : DampingLadder(damping)) {
    // With J the exchange of row order, J H J = L L^T gives H = R R^T for the
    // upper triangular R = J L J, so U = R^-1 = J L^-1 J satisfies
    // U^T U = H^-1: one Cholesky and one triangular inverse instead of the
    // usual Cholesky, inverse and second Cholesky.
    Eigen::MatrixXd flipped = matrix.reverse();
    flipped.diagonal().array() += share * mean_diagonal;
    const Eigen::LLT<Eigen::MatrixXd> cholesky(flipped);
    if (cholesky.info() == Eigen::Success) {
      Eigen::MatrixXd inverse = Eigen::MatrixXd::Identity(n, n);
      cholesky.matrixL().solveInPlace(inverse);
      result.upper = SquareMatrix(n);
      Eigen::Map<RowMajorMatrix>(result.upper.values.data(), n, n) =
          inverse.reverse();
      if (std::all_of(result.upper.values.begin(), result.upper.values.end(),
                      [](double v) { return std::isfinite(v); })) {
        result.damping = share;
        return result;
      }
    }
    ++result.retries;
  }
  return absl::InternalError(
      "the second moment of the inputs stays indefinite under all damping");
}

}  // namespace quantd
