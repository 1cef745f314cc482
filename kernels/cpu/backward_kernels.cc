#include "kernels/cpu/backward_kernels.h"

#include <cmath>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/backward_kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
//
#include "hwy/highway.h"
#include "kernels/cpu/activations-inl.h"

HWY_BEFORE_NAMESPACE();
namespace quantd::cpu {
namespace HWY_NAMESPACE {

// sum_c f(c) over a row, f giving vectors and, for what is left, scalars.
template <class Vector, class Scalar>
double SumOver(int64_t cols, const Vector& vector, const Scalar& scalar) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto sum = hn::Zero(d);
  int64_t c = 0;
  for (; c + lanes <= cols; c += lanes) sum = hn::Add(sum, vector(c));
  double total = static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
  for (; c < cols; ++c) total += static_cast<double>(scalar(c));
  return total;
}

// The rows of one call are a piece of a batch: gradients of parameters add up
// in float32 over them and in float64 from piece to piece.
void NormBackwardRows(const NormBackwardArgs& args, bool centred) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t cols = args.cols;
  const float count = static_cast<float>(cols);
  const size_t size = static_cast<size_t>(cols);
  std::vector<float> normal(size), g(size);
  std::vector<float> dweight(args.dweight != nullptr ? size : 0, 0.0f);
  std::vector<float> dbias(centred && args.dbias != nullptr ? size : 0, 0.0f);
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* x = args.x + r * cols;
    const float* dy = args.dy + r * cols;
    float* dx = args.dx + r * cols;
    float mean = 0;
    if (centred) {
      mean = static_cast<float>(SumOver(
                 cols, [&](int64_t c) { return hn::LoadU(d, x + c); },
                 [&](int64_t c) { return x[c]; })) /
             count;
    }
    const auto vmean = hn::Set(d, mean);
    const double squares = SumOver(
        cols,
        [&](int64_t c) {
          const auto v = hn::Sub(hn::LoadU(d, x + c), vmean);
          return hn::Mul(v, v);
        },
        [&](int64_t c) { return (x[c] - mean) * (x[c] - mean); });
    const float inverse = static_cast<float>(
        1.0 / std::sqrt(squares / static_cast<double>(cols) + args.eps));
    const auto vinverse = hn::Set(d, inverse);
    int64_t c = 0;
    for (; c + lanes <= cols; c += lanes) {
      const auto v = hn::Mul(hn::Sub(hn::LoadU(d, x + c), vmean), vinverse);
      const auto gradient = hn::LoadU(d, dy + c);
      hn::StoreU(v, d, normal.data() + c);
      hn::StoreU(args.weight == nullptr
                     ? gradient
                     : hn::Mul(gradient, hn::LoadU(d, args.weight + c)),
                 d, g.data() + c);
      if (!dweight.empty()) {
        float* sum = dweight.data() + c;
        hn::StoreU(hn::MulAdd(gradient, v, hn::LoadU(d, sum)), d, sum);
      }
      if (!dbias.empty()) {
        float* sum = dbias.data() + c;
        hn::StoreU(hn::Add(gradient, hn::LoadU(d, sum)), d, sum);
      }
    }
    for (; c < cols; ++c) {
      const size_t i = static_cast<size_t>(c);
      normal[i] = (x[c] - mean) * inverse;
      g[i] = args.weight == nullptr ? dy[c] : dy[c] * args.weight[c];
      if (!dweight.empty()) dweight[i] += dy[c] * normal[i];
      if (!dbias.empty()) dbias[i] += dy[c];
    }
    const float* gs = g.data();
    const float* ns = normal.data();
    float g_mean = 0;
    if (centred) {
      g_mean = static_cast<float>(SumOver(
                   cols, [&](int64_t i) { return hn::LoadU(d, gs + i); },
                   [&](int64_t i) { return gs[i]; })) /
               count;
    }
    const float g_normal =
        static_cast<float>(SumOver(
            cols,
            [&](int64_t i) {
              return hn::Mul(hn::LoadU(d, gs + i), hn::LoadU(d, ns + i));
            },
            [&](int64_t i) { return gs[i] * ns[i]; })) /
        count;
    const auto vg_mean = hn::Set(d, g_mean);
    const auto vg_normal = hn::Set(d, g_normal);
    for (c = 0; c + lanes <= cols; c += lanes) {
      const auto v = hn::NegMulAdd(hn::LoadU(d, ns + c), vg_normal,
                                   hn::Sub(hn::LoadU(d, gs + c), vg_mean));
      hn::StoreU(hn::Mul(v, vinverse), d, dx + c);
    }
    for (; c < cols; ++c) dx[c] = inverse * (gs[c] - g_mean - ns[c] * g_normal);
  }
  for (size_t i = 0; i < dweight.size(); ++i) args.dweight[i] += dweight[i];
  for (size_t i = 0; i < dbias.size(); ++i) args.dbias[i] += dbias[i];
}

// In the order of Activation.
constexpr ApplyFunction kApplyDerivative[] = {
    ApplyRange<IdentityDerivative>,    ApplyRange<ReluDerivative>,
    ApplyRange<ReluSquaredDerivative>, ApplyRange<SiluDerivative>,
    ApplyRange<GeluDerivative>,        ApplyRange<GeluTanhDerivative>,
    ApplyRange<QuickGeluDerivative>,   ApplyRange<TanhDerivative>,
    ApplyRange<SigmoidDerivative>,     ApplyRange<Relu6Derivative>,
    ApplyRange<LeakyReluDerivative>,   ApplyRange<MishDerivative>,
    ApplyRange<GeluClippedDerivative>, ApplyRange<LaplaceDerivative>,
};

void ApplyDerivative(Activation activation, const float* x, const float* dy,
                     int64_t count, float* dx) {
  kApplyDerivative[static_cast<size_t>(activation)](x, dy, count, dx);
}

void SoftcapBackwardRange(float cap, const float* y, const float* dy,
                          int64_t count, float* dx) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto inverse = hn::Set(d, 1.0f / cap);
  const auto one = hn::Set(d, 1.0f);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto part = hn::Mul(hn::LoadU(d, y + i), inverse);
    hn::StoreU(hn::Mul(hn::LoadU(d, dy + i), hn::NegMulAdd(part, part, one)), d,
               dx + i);
  }
  for (; i < count; ++i) {
    const float part = y[i] / cap;
    dx[i] = dy[i] * (1 - part * part);
  }
}

void MultiplyRange(const float* x, const float* y, int64_t count, float* z) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, z + i);
  }
  for (; i < count; ++i) z[i] = x[i] * y[i];
}

void ScaleRange(float factor, int64_t count, float* x) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto v = hn::Set(d, factor);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, x + i), v), d, x + i);
  }
  for (; i < count; ++i) x[i] *= factor;
}

float DotRange(const float* x, const float* y, int64_t count) {
  const hn::ScalableTag<float> d;
  return static_cast<float>(SumOver(
      count,
      [&](int64_t i) {
        return hn::Mul(hn::LoadU(d, x + i), hn::LoadU(d, y + i));
      },
      [&](int64_t i) { return x[i] * y[i]; }));
}

void SoftmaxBackwardRow(const float* dp, float mean, int64_t count, float* p) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto vmean = hn::Set(d, mean);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(
        hn::Mul(hn::LoadU(d, p + i), hn::Sub(hn::LoadU(d, dp + i), vmean)), d,
        p + i);
  }
  for (; i < count; ++i) p[i] *= dp[i] - mean;
}

}  // namespace HWY_NAMESPACE
}  // namespace quantd::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace quantd::cpu {

HWY_EXPORT(NormBackwardRows);
HWY_EXPORT(ApplyDerivative);
HWY_EXPORT(SoftcapBackwardRange);
HWY_EXPORT(MultiplyRange);
HWY_EXPORT(ScaleRange);
HWY_EXPORT(DotRange);
HWY_EXPORT(SoftmaxBackwardRow);

void NormBackwardRows(const NormBackwardArgs& args, bool centred) {
  HWY_DYNAMIC_DISPATCH(NormBackwardRows)(args, centred);
}

void ActivateBackwardRange(Activation activation, const float* x,
                           const float* dy, int64_t count, float* dx) {
  HWY_DYNAMIC_DISPATCH(ApplyDerivative)(activation, x, dy, count, dx);
}

void SoftcapBackwardRange(float cap, const float* y, const float* dy,
                          int64_t count, float* dx) {
  HWY_DYNAMIC_DISPATCH(SoftcapBackwardRange)(cap, y, dy, count, dx);
}

void MultiplyRange(const float* x, const float* y, int64_t count, float* z) {
  HWY_DYNAMIC_DISPATCH(MultiplyRange)(x, y, count, z);
}

void ScaleRange(float factor, int64_t count, float* x) {
  HWY_DYNAMIC_DISPATCH(ScaleRange)(factor, count, x);
}

float DotRange(const float* x, const float* y, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(DotRange)(x, y, count);
}

void SoftmaxBackwardRow(const float* dp, float mean, int64_t count, float* p) {
  HWY_DYNAMIC_DISPATCH(SoftmaxBackwardRow)(dp, mean, count, p);
}

}  // namespace quantd::cpu
#endif  // HWY_ONCE
