#include "quantizers/layer_error.h"

#include <vector>

namespace quantd {
namespace {

// tr(M H M^T) in float32 products and float64 sums.
double QuadraticForm(const Tensor& m, const std::vector<float>& h,
                     ExecutionContext& ctx) {
  Tensor product = Tensor::Uninitialized({m.rows(), m.cols()});
  GemmArgs args;
  args.m = m.rows();
  args.n = m.cols();
  args.k = m.cols();
  args.a = m.data();
  args.lda = m.cols();
  args.b = h.data();
  args.ldb = m.cols();
  args.c = product.data();
  args.ldc = m.cols();
  ctx.device().Gemm(args);
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
                           const SquareMatrix& second_moment,
                           ExecutionContext& ctx) {
  const std::vector<float> h(second_moment.values.begin(),
                             second_moment.values.end());
  const double error = QuadraticForm(Difference(original, compressed), h, ctx);
  const double norm = QuadraticForm(original, h, ctx);
  return norm > 0 ? error / norm : error;
}

}  // namespace quantd
