// Activations and their derivatives as vector functions, for sources that
// Highway compiles once per instruction set. Definitions: kernels/device.h.
#if defined(QUANTD_KERNELS_CPU_ACTIVATIONS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QUANTD_KERNELS_CPU_ACTIVATIONS_INL_H_
#undef QUANTD_KERNELS_CPU_ACTIVATIONS_INL_H_
#else
#define QUANTD_KERNELS_CPU_ACTIVATIONS_INL_H_
#endif

#include <cstdint>

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace quantd::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Below this exp() is zero in float32 anyway; hwy's Exp is defined down to
// about -104, and masked scores are far lower.
constexpr float kMinExponent = -88.0f;

// The activations as vector functions. A range whose length is no multiple of
// the vector goes through the same function by way of a padded copy, so that a
// value does not depend on where it lies.
template <class D, class V>
V Sigmoid(D d, V x) {
  const auto one = hn::Set(d, 1.0f);
  const auto limit = hn::Set(d, -kMinExponent);
  const auto e =
      hn::Exp(d, hn::Max(hn::Min(hn::Neg(x), limit), hn::Neg(limit)));
  return hn::Div(one, hn::Add(one, e));
}

struct IdentityFunction {
  template <class D, class V>
  V operator()(D, V x) const {
    return x;
  }
};
struct ReluFunction {
  template <class D, class V>
  V operator()(D d, V x) const {
    return hn::Max(x, hn::Zero(d));
  }
};
struct ReluSquaredFunction {
  template <class D, class V>
  V operator()(D d, V x) const {
    const auto r = hn::Max(x, hn::Zero(d));
    return hn::Mul(r, r);
  }
};
struct SiluFunction {
  template <class D, class V>
  V operator()(D d, V x) const {
    return hn::Mul(x, Sigmoid(d, x));
  }
};
// The normal distribution, with erf by Abramowitz and Stegun 7.1.26: absolute
// error 1.5e-7, which is that of float32 rounding near 1.
template <class D, class V>
V NormalDistribution(D d, V x) {
  const auto one = hn::Set(d, 1.0f);
  const auto z = hn::Mul(hn::Abs(x), hn::Set(d, 0.70710678118654752f));
  const auto t = hn::Div(one, hn::MulAdd(z, hn::Set(d, 0.3275911f), one));
  auto poly = hn::Set(d, 1.061405429f);
  poly = hn::MulAdd(poly, t, hn::Set(d, -1.453152027f));
  poly = hn::MulAdd(poly, t, hn::Set(d, 1.421413741f));
  poly = hn::MulAdd(poly, t, hn::Set(d, -0.284496736f));
  poly = hn::MulAdd(poly, t, hn::Set(d, 0.254829592f));
  const auto exponent =
      hn::Max(hn::Neg(hn::Mul(z, z)), hn::Set(d, kMinExponent));
  // 1 - erf(z), z >= 0.
  const auto tail = hn::Mul(hn::Mul(poly, t), hn::Exp(d, exponent));
  // 1 - tail / 2 for x >= 0, tail / 2 below.
  const auto half_tail = hn::Mul(tail, hn::Set(d, 0.5f));
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), half_tail,
                        hn::Sub(one, half_tail));
}
struct GeluFunction {
  template <class D, class V>
  V operator()(D d, V x) const {
    return hn::Mul(x, NormalDistribution(d, x));
  }
};
struct GeluClippedFunction {
  template <class D, class V>
  V operator()(D d, V x) const {
    const auto limit = hn::Set(d, 10.0f);
    return hn::Max(hn::Min(GeluFunction()(d, x), limit), hn::Neg(limit));
  }
};
struct LaplaceFunction {
  template <class D, class V>
  V operator()(D d, V x) const {
    return NormalDistribution(d, hn::Mul(hn::Sub(x, hn::Set(d, 0.707107f)),
                                         hn::Set(d, 1.0f / 0.282095f)));
  }
};
struct GeluTanhFunction {
  template <class D, class V>
  V operator()(D d, V x) const {
    const auto cubic =
        hn::Mul(hn::Mul(x, x), hn::Mul(x, hn::Set(d, 0.044715f)));
    // 0.5 (1 + tanh(u)) = sigmoid(2 u).
    const auto twice =
        hn::Mul(hn::Add(x, cubic), hn::Set(d, 1.59576912160573071f));
    return hn::Mul(x, Sigmoid(d, twice));
  }
};
struct QuickGeluFunction {
  template <class D, class V>
  V operator()(D d, V x) const {
    return hn::Mul(x, Sigmoid(d, hn::Mul(x, hn::Set(d, 1.702f))));
  }
};
struct TanhFunction {
  template <class D, class V>
  V operator()(D d, V x) const {
    return hn::Tanh(d, x);
  }
};
struct SigmoidFunction {
  template <class D, class V>
  V operator()(D d, V x) const {
    return Sigmoid(d, x);
  }
};

struct Relu6Function {
  template <class D, class V>
  V operator()(D d, V x) const {
    return hn::Min(hn::Max(x, hn::Zero(d)), hn::Set(d, 6.0f));
  }
};
struct LeakyReluFunction {
  template <class D, class V>
  V operator()(D d, V x) const {
    return hn::Max(x, hn::Mul(x, hn::Set(d, 0.01f)));
  }
};
// tanh(log(u)) = (u^2 - 1) / (u^2 + 1) with u = 1 + exp(x), so that with
// n = exp(x) (exp(x) + 2) it is n / (n + 2), without cancellation at either
// end; from x = 20 on it is 1.
struct MishFunction {
  template <class D, class V>
  V operator()(D d, V x) const {
    const auto two = hn::Set(d, 2.0f);
    const auto e = hn::Exp(
        d, hn::Max(hn::Min(x, hn::Set(d, 20.0f)), hn::Set(d, kMinExponent)));
    const auto n = hn::Mul(e, hn::Add(e, two));
    return hn::Mul(x, hn::Div(n, hn::Add(n, two)));
  }
};

// y = f(x) * up, or f(x) where `up` is null.
template <class F>
void ApplyRange(const float* x, const float* up, int64_t count, float* y) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const F f;
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    auto v = f(d, hn::LoadU(d, x + i));
    if (up != nullptr) v = hn::Mul(v, hn::LoadU(d, up + i));
    hn::StoreU(v, d, y + i);
  }
  if (i == count) return;
  HWY_ALIGN float tail[HWY_MAX_BYTES / sizeof(float)] = {};
  for (int64_t j = i; j < count; ++j) tail[j - i] = x[j];
  hn::Store(f(d, hn::Load(d, tail)), d, tail);
  for (int64_t j = i; j < count; ++j) {
    y[j] = up != nullptr ? tail[j - i] * up[j] : tail[j - i];
  }
}

using ApplyFunction = void (*)(const float*, const float*, int64_t, float*);

// --- Derivatives -----------------------------------------------------------

template <class D, class V>
V NormalDensity(D d, V x) {
  const auto exponent = hn::Mul(hn::Mul(x, x), hn::Set(d, -0.5f));
  return hn::Mul(hn::Exp(d, hn::Max(exponent, hn::Set(d, kMinExponent))),
                 hn::Set(d, 0.3989422804f));
}

// One where x is in (low, high].
template <class D, class V>
V Inside(D d, V x, float low, float high) {
  const auto one = hn::Set(d, 1.0f);
  return hn::IfThenElseZero(
      hn::And(hn::Gt(x, hn::Set(d, low)), hn::Le(x, hn::Set(d, high))), one);
}

struct IdentityDerivative {
  template <class D, class V>
  V operator()(D d, V) const {
    return hn::Set(d, 1.0f);
  }
};
struct ReluDerivative {
  template <class D, class V>
  V operator()(D d, V x) const {
    return hn::IfThenElseZero(hn::Gt(x, hn::Zero(d)), hn::Set(d, 1.0f));
  }
};
struct ReluSquaredDerivative {
  template <class D, class V>
  V operator()(D d, V x) const {
    const auto r = hn::Max(x, hn::Zero(d));
    return hn::Add(r, r);
  }
};
// Of x sigmoid(k x).
template <class D, class V>
V SwishDerivative(D d, V x, float k) {
  const auto one = hn::Set(d, 1.0f);
  const auto kx = hn::Mul(x, hn::Set(d, k));
  const auto s = Sigmoid(d, kx);
  return hn::Mul(s, hn::MulAdd(kx, hn::Sub(one, s), one));
}
struct SiluDerivative {
  template <class D, class V>
  V operator()(D d, V x) const {
    return SwishDerivative(d, x, 1.0f);
  }
};
struct QuickGeluDerivative {
  template <class D, class V>
  V operator()(D d, V x) const {
    return SwishDerivative(d, x, 1.702f);
  }
};
struct GeluDerivative {
  template <class D, class V>
  V operator()(D d, V x) const {
    return hn::MulAdd(x, NormalDensity(d, x), NormalDistribution(d, x));
  }
};
struct GeluClippedDerivative {
  template <class D, class V>
  V operator()(D d, V x) const {
    const auto inside =
        hn::Le(hn::Abs(GeluFunction()(d, x)), hn::Set(d, 10.0f));
    return hn::IfThenElseZero(inside, GeluDerivative()(d, x));
  }
};
struct GeluTanhDerivative {
  template <class D, class V>
  V operator()(D d, V x) const {
    const auto one = hn::Set(d, 1.0f);
    const auto half = hn::Set(d, 0.5f);
    const auto factor = hn::Set(d, 0.7978845608f);
    const auto cubic = hn::Set(d, 0.044715f);
    const auto square = hn::Mul(x, x);
    const auto inner =
        hn::Mul(factor, hn::MulAdd(hn::Mul(cubic, square), x, x));
    const auto t = hn::Tanh(d, inner);
    const auto slope = hn::Mul(
        factor, hn::MulAdd(hn::Mul(hn::Set(d, 3.0f), cubic), square, one));
    return hn::MulAdd(hn::Mul(hn::Mul(half, x), slope),
                      hn::NegMulAdd(t, t, one), hn::Mul(half, hn::Add(one, t)));
  }
};
struct TanhDerivative {
  template <class D, class V>
  V operator()(D d, V x) const {
    const auto t = hn::Tanh(d, x);
    return hn::NegMulAdd(t, t, hn::Set(d, 1.0f));
  }
};
struct SigmoidDerivative {
  template <class D, class V>
  V operator()(D d, V x) const {
    const auto s = Sigmoid(d, x);
    return hn::NegMulAdd(s, s, s);
  }
};
struct Relu6Derivative {
  template <class D, class V>
  V operator()(D d, V x) const {
    return Inside(d, x, 0.0f, 6.0f);
  }
};
struct LeakyReluDerivative {
  template <class D, class V>
  V operator()(D d, V x) const {
    return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), hn::Set(d, 1.0f),
                          hn::Set(d, 0.01f));
  }
};
// With n and e of MishFunction: t = n / (n + 2), 1 - t^2 = 4 (n + 1) /
// (n + 2)^2, and sigmoid(x) = e / (1 + e).
struct MishDerivative {
  template <class D, class V>
  V operator()(D d, V x) const {
    const auto one = hn::Set(d, 1.0f);
    const auto two = hn::Set(d, 2.0f);
    const auto e = hn::Exp(
        d, hn::Max(hn::Min(x, hn::Set(d, 20.0f)), hn::Set(d, kMinExponent)));
    const auto n = hn::Mul(e, hn::Add(e, two));
    const auto inverse = hn::Div(one, hn::Add(n, two));
    const auto t = hn::Mul(n, inverse);
    const auto slope = hn::Mul(hn::Mul(hn::Set(d, 4.0f), hn::Add(n, one)),
                               hn::Mul(inverse, inverse));
    return hn::MulAdd(hn::Mul(x, slope), hn::Div(e, hn::Add(e, one)), t);
  }
};
struct LaplaceDerivative {
  template <class D, class V>
  V operator()(D d, V x) const {
    const auto inverse = hn::Set(d, 1.0f / 0.282095f);
    return hn::Mul(
        inverse,
        NormalDensity(d, hn::Mul(hn::Sub(x, hn::Set(d, 0.707107f)), inverse)));
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace quantd::cpu
HWY_AFTER_NAMESPACE();

#endif  // QUANTD_KERNELS_CPU_ACTIVATIONS_INL_H_ toggle
