#include "kernels/cpu/row_kernels.h"

#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/row_kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
//
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace quantd::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Below this exp() is zero in float32 anyway; hwy's Exp is defined down to
// about -104, and masked scores are far lower.
constexpr float kMinExponent = -88.0f;

// Sum of squares in float64 lanes would halve the speed; four float32
// accumulators over rows of a few thousand elements keep the relative error
// near 1e-7, below that of the float32 result.
void RmsNormRows(const float* HWY_RESTRICT x, const float* HWY_RESTRICT weight,
                 float eps, int64_t rows, int64_t cols, float* y) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t r = 0; r < rows; ++r) {
    const float* src = x + r * cols;
    float* dst = y + r * cols;
    auto s0 = hn::Zero(d);
    auto s1 = hn::Zero(d);
    int64_t c = 0;
    for (; c + 2 * lanes <= cols; c += 2 * lanes) {
      const auto v0 = hn::LoadU(d, src + c);
      const auto v1 = hn::LoadU(d, src + c + lanes);
      s0 = hn::MulAdd(v0, v0, s0);
      s1 = hn::MulAdd(v1, v1, s1);
    }
    double squares = hn::GetLane(hn::SumOfLanes(d, hn::Add(s0, s1)));
    for (; c < cols; ++c) squares += static_cast<double>(src[c]) * src[c];
    const float inverse = static_cast<float>(
        1.0 / std::sqrt(squares / static_cast<double>(cols) + eps));
    const auto scale = hn::Set(d, inverse);
    for (c = 0; c + lanes <= cols; c += lanes) {
      hn::StoreU(hn::Mul(hn::Mul(hn::LoadU(d, src + c), scale),
                         hn::LoadU(d, weight + c)),
                 d, dst + c);
    }
    for (; c < cols; ++c) dst[c] = src[c] * inverse * weight[c];
  }
}

float MaxOfRow(const float* row, int64_t count) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  float max = -std::numeric_limits<float>::infinity();
  int64_t c = 0;
  if (count >= lanes) {
    auto m = hn::LoadU(d, row);
    for (c = lanes; c + lanes <= count; c += lanes) {
      m = hn::Max(m, hn::LoadU(d, row + c));
    }
    max = hn::GetLane(hn::MaxOfLanes(d, m));
  }
  for (; c < count; ++c) {
    if (row[c] > max) max = row[c];
  }
  return max;
}

void CausalSoftmaxRows(float* scores, int64_t rows, int64_t cols, int64_t ld,
                       int64_t visible, float scale) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto floor = hn::Set(d, kMinExponent);
  for (int64_t r = 0; r < rows; ++r) {
    float* row = scores + r * ld;
    const int64_t count = visible + r + 1;
    // scale > 0, so the maximum may be taken before scaling.
    const float max = MaxOfRow(row, count) * scale;
    const auto vmax = hn::Set(d, max);
    const auto vscale = hn::Set(d, scale);
    auto vsum = hn::Zero(d);
    int64_t c = 0;
    for (; c + lanes <= count; c += lanes) {
      const auto shifted = hn::MulSub(hn::LoadU(d, row + c), vscale, vmax);
      const auto e = hn::Exp(d, hn::Max(shifted, floor));
      hn::StoreU(e, d, row + c);
      vsum = hn::Add(vsum, e);
    }
    float sum = hn::GetLane(hn::SumOfLanes(d, vsum));
    for (; c < count; ++c) {
      row[c] = std::exp(row[c] * scale - max);
      sum += row[c];
    }
    const float inverse = 1.0f / sum;
    const auto vinverse = hn::Set(d, inverse);
    for (c = 0; c + lanes <= count; c += lanes) {
      hn::StoreU(hn::Mul(hn::LoadU(d, row + c), vinverse), d, row + c);
    }
    for (; c < count; ++c) row[c] *= inverse;
    for (; c < cols; ++c) row[c] = 0.0f;
  }
}

void SiluMulRange(const float* gate, const float* up, int64_t count, float* y) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto one = hn::Set(d, 1.0f);
  const auto limit = hn::Set(d, -kMinExponent);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto g = hn::LoadU(d, gate + i);
    const auto e =
        hn::Exp(d, hn::Max(hn::Min(hn::Neg(g), limit), hn::Neg(limit)));
    hn::StoreU(hn::Mul(hn::Div(g, hn::Add(one, e)), hn::LoadU(d, up + i)), d,
               y + i);
  }
  for (; i < count; ++i) y[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

void AddRange(const float* x, int64_t count, float* y) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::Add(hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, y + i);
  }
  for (; i < count; ++i) y[i] += x[i];
}

double LogSumExpRow(const float* row, int64_t cols) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const float max = MaxOfRow(row, cols);
  const auto vmax = hn::Set(d, max);
  const auto floor = hn::Set(d, kMinExponent);
  // Partial sums of one lane cover at most cols / lanes elements of [0, 1].
  auto vsum = hn::Zero(d);
  auto nan_seen = hn::Zero(d);
  int64_t c = 0;
  for (; c + lanes <= cols; c += lanes) {
    const auto v = hn::LoadU(d, row + c);
    // max(v, floor) would hide a NaN; v * 0 is NaN for NaN and infinity.
    nan_seen = hn::MulAdd(v, hn::Zero(d), nan_seen);
    vsum = hn::Add(vsum, hn::Exp(d, hn::Max(hn::Sub(v, vmax), floor)));
  }
  double sum = hn::GetLane(hn::SumOfLanes(d, vsum));
  sum += hn::GetLane(hn::SumOfLanes(d, nan_seen));
  for (; c < cols; ++c) sum += std::exp(static_cast<double>(row[c]) - max);
  return static_cast<double>(max) + std::log(sum);
}

}  // namespace HWY_NAMESPACE
}  // namespace quantd::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace quantd::cpu {

HWY_EXPORT(RmsNormRows);
HWY_EXPORT(CausalSoftmaxRows);
HWY_EXPORT(SiluMulRange);
HWY_EXPORT(AddRange);
HWY_EXPORT(LogSumExpRow);

void RmsNormRows(const float* x, const float* weight, float eps, int64_t rows,
                 int64_t cols, float* y) {
  HWY_DYNAMIC_DISPATCH(RmsNormRows)(x, weight, eps, rows, cols, y);
}

void CausalSoftmaxRows(float* scores, int64_t rows, int64_t cols, int64_t ld,
                       int64_t visible, float scale) {
  HWY_DYNAMIC_DISPATCH(CausalSoftmaxRows)
  (scores, rows, cols, ld, visible, scale);
}

void SiluMulRange(const float* gate, const float* up, int64_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(SiluMulRange)(gate, up, count, y);
}

void AddRange(const float* x, int64_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(AddRange)(x, count, y);
}

double LogSumExpRow(const float* row, int64_t cols) {
  return HWY_DYNAMIC_DISPATCH(LogSumExpRow)(row, cols);
}

}  // namespace quantd::cpu
#endif  // HWY_ONCE
