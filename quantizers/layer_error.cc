#include "quantizers/layer_error.h"

#include <algorithm>

#include "tensor/ops.h"

namespace quantd {
namespace {

// Rows whose product with H is held at once. Fixed, because float32 products
// may depend on it.
constexpr int64_t kPieceRows = 1024;

// tr(M H M^T) of a piece, in products of the context's type and float64 sums.
double QuadraticForm(const Tensor& m, const Tensor& h, ExecutionContext& ctx) {
  // H is symmetric, so that M H = M H^T.
  const Tensor product = ops::LinearProduct(m, h, ctx);
  double sum = 0;
  for (int64_t i = 0; i < m.size(); ++i) {
    sum += static_cast<double>(m.data()[i]) * product.data()[i];
  }
  return sum;
}

Tensor Difference(const Tensor& a, const Tensor& b) {
  Tensor d = Tensor::Uninitialized({a.rows(), a.cols()});
  for (int64_t i = 0; i < d.size(); ++i) {
    d.data()[i] = a.data()[i] - b.data()[i];
  }
  return d;
}

}  // namespace

double RelativeWeightError(const Tensor& original, const Tensor& compressed) {
  double error = 0;
  double norm = 0;
  for (int64_t i = 0; i < original.size(); ++i) {
    const double w = original.data()[i];
    const double d = w - compressed.data()[i];
    error += d * d;
    norm += w * w;
  }
  return norm > 0 ? error / norm : error;
}

double RelativeOutputError(const Tensor& original, const Tensor& compressed,
                           const Tensor& h, ExecutionContext& ctx) {
  double error = 0;
  double norm = 0;
  for (int64_t begin = 0; begin < original.rows(); begin += kPieceRows) {
    const int64_t count = std::min(kPieceRows, original.rows() - begin);
    const Tensor w = original.Rows(begin, count);
    error +=
        QuadraticForm(Difference(w, compressed.Rows(begin, count)), h, ctx);
    norm += QuadraticForm(w, h, ctx);
  }
  return norm > 0 ? error / norm : error;
}

double OutputEnergy(const Tensor& m, const Tensor& h, ExecutionContext& ctx) {
  double energy = 0;
  for (int64_t begin = 0; begin < m.rows(); begin += kPieceRows) {
    energy += QuadraticForm(
        m.Rows(begin, std::min(kPieceRows, m.rows() - begin)), h, ctx);
  }
  return energy;
}

}  // namespace quantd
