#include "kernels/hadamard.h"

#include <algorithm>
#include <cmath>

namespace quantd {
namespace {

bool IsPrime(int64_t n) {
  if (n < 2) return false;
  for (int64_t d = 2; d * d <= n; ++d) {
    if (n % d == 0) return false;
  }
  return true;
}

// Which construction gives a base matrix of order b; prime 0: none.
struct Construction {
  int64_t prime = 0;
  bool second = false;
};

Construction ConstructionOf(int64_t b) {
  if (b % 4 == 0 && (b - 1) % 4 == 3 && IsPrime(b - 1)) return {b - 1, false};
  if (b % 4 == 0 && (b / 2 - 1) % 4 == 1 && IsPrime(b / 2 - 1)) {
    return {b / 2 - 1, true};
  }
  return {};
}

// The order of the base matrix of H_n; 0: none.
int64_t BaseOrder(int64_t n) {
  int64_t odd = n;
  while (odd % 2 == 0) odd /= 2;
  if (odd == 1) return 1;
  for (int64_t b = odd; b <= std::min(n, HadamardTransform::kMaxBaseOrder);
       b *= 2) {
    if (ConstructionOf(b).prime != 0) return b;
  }
  return 0;
}

// REQUIRES: ConstructionOf(b).prime != 0.
std::vector<int8_t> BaseMatrix(int64_t b) {
  const auto [q, second] = ConstructionOf(b);
  std::vector<int> legendre(static_cast<size_t>(q), -1);
  legendre[0] = 0;
  for (int64_t i = 1; i < q; ++i) {
    legendre[static_cast<size_t>(i * i % q)] = 1;
  }
  const int corner = second ? 1 : -1;
  const auto conference = [&, q = q](int64_t i, int64_t j) {
    if (i == j) return 0;
    if (i == 0) return 1;
    if (j == 0) return corner;
    return legendre[static_cast<size_t>((i - j + q) % q)];
  };
  std::vector<int8_t> matrix;
  for (int64_t i = 0; i < b; ++i) {
    for (int64_t j = 0; j < b; ++j) {
      int entry = 1;
      if (!second) {
        if (i != j) entry = conference(i, j);
      } else if (i / 2 != j / 2) {
        entry = conference(i / 2, j / 2) * (i % 2 + j % 2 == 2 ? -1 : 1);
      } else {
        entry = i % 2 + j % 2 == 0 ? 1 : -1;
      }
      matrix.push_back(static_cast<int8_t>(entry));
    }
  }
  return matrix;
}

// Columns of the base product that are worked on at a time.
constexpr int64_t kStrip = 16;

}  // namespace

bool HadamardTransform::Known(int64_t order) {
  return order >= 1 && order <= kMaxOrder && BaseOrder(order) != 0;
}

int64_t HadamardTransform::LargestKnownDivisor(int64_t n) {
  int64_t odd = n;
  while (odd % 2 == 0) odd /= 2;
  int64_t best = n / odd;
  for (int64_t divisor = 1; divisor <= odd; divisor += 2) {
    if (odd % divisor != 0) continue;
    const int64_t order = n / odd * divisor;
    if (Known(order)) best = std::max(best, order);
  }
  return best;
}

std::optional<HadamardTransform> HadamardTransform::Make(int64_t order) {
  if (!Known(order)) return std::nullopt;
  const int64_t base = BaseOrder(order);
  return HadamardTransform(base, order / base);
}

HadamardTransform::HadamardTransform(int64_t base_order,
                                     int64_t sylvester_order)
    : base_order_(base_order), sylvester_order_(sylvester_order) {
  base_ = base_order == 1 ? std::vector<int8_t>{1} : BaseMatrix(base_order);
}

template <typename Real>
void HadamardTransform::Run(Real* x, bool transposed) const {
  const int64_t m = sylvester_order_;
  for (int64_t part = 0; part < base_order_; ++part) {
    Real* const y = x + part * m;
    for (int64_t half = 1; half < m; half *= 2) {
      for (int64_t begin = 0; begin < m; begin += 2 * half) {
        for (int64_t i = begin; i < begin + half; ++i) {
          const Real a = y[i];
          const Real b = y[i + half];
          y[i] = a + b;
          y[i + half] = a - b;
        }
      }
    }
  }
  const Real scale =
      static_cast<Real>(1.0 / std::sqrt(static_cast<double>(order())));
  if (base_order_ == 1) {
    for (int64_t i = 0; i < m; ++i) x[i] *= scale;
    return;
  }
  // Between the parts, strip by strip so that the copy stays small.
  std::vector<Real> strip(static_cast<size_t>(base_order_ * kStrip));
  for (int64_t begin = 0; begin < m; begin += kStrip) {
    const int64_t width = std::min(kStrip, m - begin);
    for (int64_t part = 0; part < base_order_; ++part) {
      std::copy_n(x + part * m + begin, width, strip.data() + part * kStrip);
    }
    for (int64_t to = 0; to < base_order_; ++to) {
      Real sum[kStrip] = {};
      for (int64_t from = 0; from < base_order_; ++from) {
        const Real entry = static_cast<Real>(base_[static_cast<size_t>(
            transposed ? to * base_order_ + from : from * base_order_ + to)]);
        const Real* const source = strip.data() + from * kStrip;
        for (int64_t i = 0; i < width; ++i) sum[i] += entry * source[i];
      }
      Real* const target = x + to * m + begin;
      for (int64_t i = 0; i < width; ++i) target[i] = sum[i] * scale;
    }
  }
}

template <typename Real>
void HadamardTransform::Apply(Real* x) const {
  Run(x, false);
}

template <typename Real>
void HadamardTransform::ApplyTransposed(Real* x) const {
  Run(x, true);  // S is symmetric
}

template void HadamardTransform::Apply<float>(float*) const;
template void HadamardTransform::Apply<double>(double*) const;
template void HadamardTransform::ApplyTransposed<float>(float*) const;
template void HadamardTransform::ApplyTransposed<double>(double*) const;

}  // namespace quantd
