#include "kernels/cpu/row_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/row_kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
//
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "kernels/cpu/activations-inl.h"

HWY_BEFORE_NAMESPACE();
namespace quantd::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

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

float SumOfRow(const float* row, int64_t count) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto s0 = hn::Zero(d);
  auto s1 = hn::Zero(d);
  int64_t c = 0;
  for (; c + 2 * lanes <= count; c += 2 * lanes) {
    s0 = hn::Add(s0, hn::LoadU(d, row + c));
    s1 = hn::Add(s1, hn::LoadU(d, row + c + lanes));
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(s0, s1)));
  for (; c < count; ++c) sum += row[c];
  return sum;
}

// Three passes (mean, variance around it, result) over a row that stays in the
// first-level cache; one pass would lose the variance of rows with a large
// mean.
void LayerNormRows(const float* HWY_RESTRICT x, const float* weight,
                   const float* bias, float eps, int64_t rows, int64_t cols,
                   float* y) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t r = 0; r < rows; ++r) {
    const float* src = x + r * cols;
    float* dst = y + r * cols;
    const float mean = SumOfRow(src, cols) / static_cast<float>(cols);
    const auto vmean = hn::Set(d, mean);
    auto vsquares = hn::Zero(d);
    int64_t c = 0;
    for (; c + lanes <= cols; c += lanes) {
      const auto centred = hn::Sub(hn::LoadU(d, src + c), vmean);
      vsquares = hn::MulAdd(centred, centred, vsquares);
    }
    double squares = hn::GetLane(hn::SumOfLanes(d, vsquares));
    for (; c < cols; ++c) {
      const double centred = static_cast<double>(src[c]) - mean;
      squares += centred * centred;
    }
    const float inverse = static_cast<float>(
        1.0 / std::sqrt(squares / static_cast<double>(cols) + eps));
    const auto vinverse = hn::Set(d, inverse);
    for (c = 0; c + lanes <= cols; c += lanes) {
      auto v = hn::Mul(hn::Sub(hn::LoadU(d, src + c), vmean), vinverse);
      if (weight != nullptr) v = hn::Mul(v, hn::LoadU(d, weight + c));
      if (bias != nullptr) v = hn::Add(v, hn::LoadU(d, bias + c));
      hn::StoreU(v, d, dst + c);
    }
    for (; c < cols; ++c) {
      float v = (src[c] - mean) * inverse;
      if (weight != nullptr) v *= weight[c];
      if (bias != nullptr) v += bias[c];
      dst[c] = v;
    }
  }
}

void SoftmaxRow(float* row, int64_t cols, int64_t begin, int64_t end,
                float scale) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto floor = hn::Set(d, kMinExponent);
  // scale > 0, so the maximum may be taken before scaling.
  const float max = MaxOfRow(row + begin, end - begin) * scale;
  const auto vmax = hn::Set(d, max);
  const auto vscale = hn::Set(d, scale);
  auto vsum = hn::Zero(d);
  int64_t c = begin;
  for (; c + lanes <= end; c += lanes) {
    const auto shifted = hn::MulSub(hn::LoadU(d, row + c), vscale, vmax);
    const auto e = hn::Exp(d, hn::Max(shifted, floor));
    hn::StoreU(e, d, row + c);
    vsum = hn::Add(vsum, e);
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, vsum));
  for (; c < end; ++c) {
    row[c] = std::exp(row[c] * scale - max);
    sum += row[c];
  }
  const float inverse = 1.0f / sum;
  const auto vinverse = hn::Set(d, inverse);
  for (c = begin; c + lanes <= end; c += lanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, row + c), vinverse), d, row + c);
  }
  for (; c < end; ++c) row[c] *= inverse;
  for (c = 0; c < begin; ++c) row[c] = 0.0f;
  for (c = end; c < cols; ++c) row[c] = 0.0f;
}

// x[i] = f(x[i], beside[i]); `beside` may be x. The end of the range goes
// through the same function, so that a value does not depend on where it lies.
template <class F>
void UpdateRange(const float* beside, int64_t count, float* x, F f) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(f(d, hn::LoadU(d, x + i), hn::LoadU(d, beside + i)), d, x + i);
  }
  if (i == count) return;
  HWY_ALIGN float own[HWY_MAX_BYTES / sizeof(float)] = {};
  HWY_ALIGN float other[HWY_MAX_BYTES / sizeof(float)] = {};
  std::copy(x + i, x + count, own);
  std::copy(beside + i, beside + count, other);
  hn::Store(f(d, hn::Load(d, own), hn::Load(d, other)), d, own);
  std::copy_n(own, count - i, x + i);
}

struct SoftcapFunction {
  float scale;
  float cap;
  template <class D, class V>
  V operator()(D d, V x, V) const {
    const V inner = hn::Mul(x, hn::Set(d, scale / cap));
    return hn::Mul(hn::Tanh(d, inner), hn::Set(d, cap));
  }
};

struct ScaleAddFunction {
  float scale;
  template <class D, class V>
  V operator()(D d, V x, V bias) const {
    return hn::MulAdd(x, hn::Set(d, scale), bias);
  }
};

void SoftcapRange(float scale, float cap, int64_t count, float* x) {
  UpdateRange(x, count, x, SoftcapFunction{scale, cap});
}

void ScaleAddRange(float scale, const float* bias, int64_t count, float* x) {
  UpdateRange(bias, count, x, ScaleAddFunction{scale});
}

// In the order of Activation.
constexpr ApplyFunction kApply[] = {
    ApplyRange<IdentityFunction>,    ApplyRange<ReluFunction>,
    ApplyRange<ReluSquaredFunction>, ApplyRange<SiluFunction>,
    ApplyRange<GeluFunction>,        ApplyRange<GeluTanhFunction>,
    ApplyRange<QuickGeluFunction>,   ApplyRange<TanhFunction>,
    ApplyRange<SigmoidFunction>,     ApplyRange<Relu6Function>,
    ApplyRange<LeakyReluFunction>,   ApplyRange<MishFunction>,
    ApplyRange<GeluClippedFunction>, ApplyRange<LaplaceFunction>,
};

void ApplyActivation(Activation activation, const float* x, const float* up,
                     int64_t count, float* y) {
  kApply[static_cast<size_t>(activation)](x, up, count, y);
}

void RotaryRows(const RotaryArgs& args) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t half = args.rotary_dim / 2;
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* cos = args.cos + args.positions[r] * half;
    const float* sin = args.sin + args.positions[r] * half;
    for (int64_t h = 0; h < args.heads; ++h) {
      float* head = args.x + (r * args.heads + h) * args.head_dim;
      if (args.interleaved) {
        for (int64_t i = 0; i < half; ++i) {
          const float a = head[2 * i];
          const float b = head[2 * i + 1];
          head[2 * i] = a * cos[i] - b * sin[i];
          head[2 * i + 1] = b * cos[i] + a * sin[i];
        }
        continue;
      }
      int64_t i = 0;
      for (; i + lanes <= half; i += lanes) {
        const auto a = hn::LoadU(d, head + i);
        const auto b = hn::LoadU(d, head + i + half);
        const auto c = hn::LoadU(d, cos + i);
        const auto s = hn::LoadU(d, sin + i);
        hn::StoreU(hn::NegMulAdd(b, s, hn::Mul(a, c)), d, head + i);
        hn::StoreU(hn::MulAdd(a, s, hn::Mul(b, c)), d, head + i + half);
      }
      for (; i < half; ++i) {
        const float a = head[i];
        const float b = head[i + half];
        head[i] = a * cos[i] - b * sin[i];
        head[i + half] = b * cos[i] + a * sin[i];
      }
    }
  }
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
  // Lanes add up in float32 over a piece of the row, pieces in float64: a
  // vocabulary of 10^5 would cost a lane four digits.
  constexpr int64_t kPiece = 1024;
  auto nan_seen = hn::Zero(d);
  double sum = 0;
  int64_t c = 0;
  while (c + lanes <= cols) {
    const int64_t end = std::min(cols, c + std::max(kPiece, lanes));
    auto piece = hn::Zero(d);
    for (; c + lanes <= end; c += lanes) {
      const auto v = hn::LoadU(d, row + c);
      // max(v, floor) would hide a NaN; v * 0 is NaN for NaN and infinity.
      nan_seen = hn::MulAdd(v, hn::Zero(d), nan_seen);
      piece = hn::Add(piece, hn::Exp(d, hn::Max(hn::Sub(v, vmax), floor)));
    }
    sum += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, piece)));
  }
  sum += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, nan_seen)));
  for (; c < cols; ++c) sum += std::exp(static_cast<double>(row[c]) - max);
  return static_cast<double>(max) + std::log(sum);
}

}  // namespace HWY_NAMESPACE
}  // namespace quantd::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace quantd::cpu {

HWY_EXPORT(RmsNormRows);
HWY_EXPORT(LayerNormRows);
HWY_EXPORT(SoftmaxRow);
HWY_EXPORT(SoftcapRange);
HWY_EXPORT(ScaleAddRange);
HWY_EXPORT(ApplyActivation);
HWY_EXPORT(RotaryRows);
HWY_EXPORT(AddRange);
HWY_EXPORT(LogSumExpRow);

void RmsNormRows(const float* x, const float* weight, float eps, int64_t rows,
                 int64_t cols, float* y) {
  HWY_DYNAMIC_DISPATCH(RmsNormRows)(x, weight, eps, rows, cols, y);
}

void LayerNormRows(const float* x, const float* weight, const float* bias,
                   float eps, int64_t rows, int64_t cols, float* y) {
  HWY_DYNAMIC_DISPATCH(LayerNormRows)(x, weight, bias, eps, rows, cols, y);
}

void SoftmaxRow(float* row, int64_t cols, int64_t begin, int64_t end,
                float scale) {
  HWY_DYNAMIC_DISPATCH(SoftmaxRow)(row, cols, begin, end, scale);
}

void SoftcapRange(float scale, float cap, int64_t count, float* x) {
  HWY_DYNAMIC_DISPATCH(SoftcapRange)(scale, cap, count, x);
}

void ScaleAddRange(float scale, const float* bias, int64_t count, float* x) {
  HWY_DYNAMIC_DISPATCH(ScaleAddRange)(scale, bias, count, x);
}

void ActivateRange(Activation activation, const float* x, int64_t count,
                   float* y) {
  HWY_DYNAMIC_DISPATCH(ApplyActivation)(activation, x, nullptr, count, y);
}

void ActivateMulRange(Activation activation, const float* gate, const float* up,
                      int64_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(ApplyActivation)(activation, gate, up, count, y);
}

void RotaryRows(const RotaryArgs& args) {
  HWY_DYNAMIC_DISPATCH(RotaryRows)(args);
}

void AddRange(const float* x, int64_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(AddRange)(x, count, y);
}

double LogSumExpRow(const float* row, int64_t cols) {
  return HWY_DYNAMIC_DISPATCH(LogSumExpRow)(row, cols);
}

}  // namespace quantd::cpu
#endif  // HWY_ONCE
