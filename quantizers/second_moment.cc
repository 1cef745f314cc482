#include "quantizers/second_moment.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "quantizers/triangular.h"

namespace quantd {
namespace {

// Rows per piece of the copies below.
constexpr int64_t kPieceRows = 64;

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
  tokens_ += inputs.rows();
}

SquareMatrix SecondMomentAccumulator::Finish() && {
  SquareMatrix h = std::move(gram_);
  const double scale =
      2.0 / static_cast<double>(std::max<int64_t>(1, sequences_));
  for (double& value : h.values) value *= scale;
  return h;
}

std::vector<double> Diagonal(const SquareMatrix& h) {
  std::vector<double> diagonal(static_cast<size_t>(h.n));
  for (int64_t i = 0; i < h.n; ++i) {
    diagonal[static_cast<size_t>(i)] = h.at(i, i);
  }
  return diagonal;
}

Tensor ToFloat(const SquareMatrix& h) {
  Tensor out = Tensor::Uninitialized({h.n, h.n});
  std::transform(h.values.begin(), h.values.end(), out.data(),
                 [](double v) { return static_cast<float>(v); });
  return out;
}

absl::StatusOr<InverseFactor> FactorDampedInverse(
    const SquareMatrix& h, double damping, absl::Span<const int64_t> order,
    ExecutionContext& ctx) {
  const auto is_finite = [](double v) { return std::isfinite(v); };
  if (!std::all_of(h.values.begin(), h.values.end(), is_finite)) {
    return absl::InvalidArgumentError(
        "the second moment of the inputs has a NaN or infinity");
  }
  const int64_t n = h.n;
  const auto source = [&](int64_t i) {
    return order.empty() ? i : order[static_cast<size_t>(i)];
  };
  const auto diagonal = [&](int64_t i) {
    return h.at(i, i) != 0 ? h.at(i, i) : 1.0;
  };
  double mean_diagonal = 0;
  for (int64_t i = 0; i < n; ++i) {
    mean_diagonal += diagonal(i) / static_cast<double>(n);
  }
  InverseFactor result;
  result.upper = SquareMatrix(n);
  std::vector<double>& work = result.upper.values;
  const int64_t pieces = (n + kPieceRows - 1) / kPieceRows;
  for (double share : DampingLadder(damping)) {
    // With J the exchange of row order, J H J = L L^T gives H = R R^T for the
    // upper triangular R = J L J, so U = R^-1 = J L^-1 J satisfies
    // U^T U = H^-1: one Cholesky and one triangular inverse instead of the
    // usual Cholesky, inverse and second Cholesky.
    ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
      const int64_t end = std::min((piece + 1) * kPieceRows, n);
      for (int64_t i = piece * kPieceRows; i < end; ++i) {
        const int64_t row = source(n - 1 - i);
        double* out = work.data() + i * n;
        for (int64_t j = 0; j < i; ++j) out[j] = h.at(row, source(n - 1 - j));
        out[i] = diagonal(row) + share * mean_diagonal;
        std::fill(out + i + 1, out + n, 0.0);
      }
    });
    ASSIGN_OR_RETURN(const bool definite, CholeskyInPlace(n, work.data(), ctx));
    if (definite) {
      RETURN_IF_ERROR(InvertLowerInPlace(n, work.data(), ctx));
      if (std::all_of(work.begin(), work.end(), is_finite)) {
        // J L^-1 J is the buffer read backwards.
        std::reverse(work.begin(), work.end());
        result.damping = share;
        return result;
      }
    }
    ++result.retries;
  }
  return absl::InternalError(
      "the second moment of the inputs stays indefinite under all damping");
}

absl::StatusOr<std::vector<double>> DampedFactorDiagonal(
    const SquareMatrix& h, double damping, ExecutionContext& ctx) {
  ASSIGN_OR_RETURN(const InverseFactor factor,
                   FactorDampedInverse(h, damping, {}, ctx));
  return Diagonal(factor.upper);
}

}  // namespace quantd
