// Operations of tensor/ops.h in float64, written from their definitions and
// without a line of the library: what gradients are differentiated against,
// numerically.
#ifndef QUANTD_TESTS_TENSOR_GRADIENT_ORACLES_H_
#define QUANTD_TESTS_TENSOR_GRADIENT_ORACLES_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <vector>

#include "kernels/device.h"

namespace quantd::test {

using Doubles = std::vector<double>;

inline double SigmoidOracle(double x) { return 1 / (1 + std::exp(-x)); }

inline double NormalOracle(double x) {
  return 0.5 * std::erfc(-x / std::numbers::sqrt2);
}

inline double ActivationOracle(Activation activation, double x) {
  switch (activation) {
    case Activation::kIdentity:
      return x;
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kReluSquared:
      return std::max(x, 0.0) * std::max(x, 0.0);
    case Activation::kSilu:
      return x * SigmoidOracle(x);
    case Activation::kGelu:
      return x * NormalOracle(x);
    case Activation::kGeluTanh:
      return 0.5 * x *
             (1 + std::tanh(std::sqrt(2 / std::numbers::pi) *
                            (x + 0.044715 * std::pow(x, 3))));
    case Activation::kQuickGelu:
      return x * SigmoidOracle(1.702 * x);
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kSigmoid:
      return SigmoidOracle(x);
    case Activation::kRelu6:
      return std::min(std::max(x, 0.0), 6.0);
    case Activation::kLeakyRelu:
      return x > 0 ? x : 0.01 * x;
    case Activation::kMish:
      return x * std::tanh(std::log1p(std::exp(x)));
    case Activation::kGeluClipped:
      return std::clamp(x * NormalOracle(x), -10.0, 10.0);
    case Activation::kLaplace:
      return NormalOracle((x - 0.707107) / 0.282095);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

// x [rows, in], w [out, in] -> [rows, out].
inline Doubles LinearOracle(const Doubles& x, const Doubles& w, int64_t in) {
  const int64_t rows = static_cast<int64_t>(x.size()) / in;
  const int64_t out = static_cast<int64_t>(w.size()) / in;
  Doubles y(static_cast<size_t>(rows * out), 0.0);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t o = 0; o < out; ++o) {
      for (int64_t i = 0; i < in; ++i)
        y[r * out + o] += x[r * in + i] * w[o * in + i];
    }
  }
  return y;
}

// Both norms; empty weight or bias: left out.
inline Doubles NormOracle(const Doubles& x, const Doubles& weight,
                          const Doubles& bias, double eps, int64_t cols,
                          bool centred) {
  Doubles y(x.size());
  for (size_t begin = 0; begin < x.size(); begin += cols) {
    double mean = 0, variance = 0;
    for (int64_t c = 0; c < cols && centred; ++c) mean += x[begin + c] / cols;
    for (int64_t c = 0; c < cols; ++c) {
      variance += std::pow(x[begin + c] - mean, 2) / cols;
    }
    for (int64_t c = 0; c < cols; ++c) {
      double v = (x[begin + c] - mean) / std::sqrt(variance + eps);
      if (!weight.empty()) v *= weight[c];
      if (!bias.empty()) v += bias[c];
      y[begin + c] = v;
    }
  }
  return y;
}

// theta_i = position * base^(-2 i / rotary_dim).
inline Doubles RotaryOracle(const Doubles& x, const std::vector<int>& positions,
                            int64_t head_dim, int64_t rotary_dim,
                            bool interleaved, double base) {
  Doubles y = x;
  const int64_t cols = static_cast<int64_t>(x.size() / positions.size());
  for (size_t r = 0; r < positions.size(); ++r) {
    for (int64_t head = 0; head < cols; head += head_dim) {
      for (int64_t i = 0; i < rotary_dim / 2; ++i) {
        const double theta =
            positions[r] * std::pow(base, -2.0 * i / rotary_dim);
        const size_t at = r * cols + head;
        const size_t a = at + (interleaved ? 2 * i : i);
        const size_t b = at + (interleaved ? 2 * i + 1 : i + rotary_dim / 2);
        y[a] = x[a] * std::cos(theta) - x[b] * std::sin(theta);
        y[b] = x[b] * std::cos(theta) + x[a] * std::sin(theta);
      }
    }
  }
  return y;
}

struct AttentionOracleOptions {
  int64_t heads = 1;
  int64_t kv_heads = 1;
  int64_t head_dim = 1;
  double scale = 1;
  bool causal = true;
  int64_t window = 0;
  double softcap = 0;
  Doubles key_bias;              // [heads, longest], or empty
  std::vector<int64_t> lengths;  // of the sequences, one after the other
};

inline Doubles AttentionOracle(const Doubles& q, const Doubles& k,
                               const Doubles& v,
                               const AttentionOracleOptions& o) {
  Doubles y(q.size(), 0.0);
  const int64_t d = o.head_dim;
  const int64_t longest = *std::max_element(o.lengths.begin(), o.lengths.end());
  int64_t begin = 0;
  for (int64_t length : o.lengths) {
    for (int64_t h = 0; h < o.heads; ++h) {
      const int64_t kv = h * o.kv_heads / o.heads;
      for (int64_t t = 0; t < length; ++t) {
        Doubles e;
        std::vector<int64_t> seen;
        const double* query = &q[((begin + t) * o.heads + h) * d];
        for (int64_t u = 0; u < length; ++u) {
          if (o.causal && u > t) continue;
          if (o.window > 0 && u + o.window <= t) continue;
          double s = 0;
          for (int64_t i = 0; i < d; ++i) {
            s += query[i] * k[((begin + u) * o.kv_heads + kv) * d + i];
          }
          s *= o.scale;
          if (o.softcap > 0) s = o.softcap * std::tanh(s / o.softcap);
          if (!o.key_bias.empty()) s += o.key_bias[h * longest + u];
          e.push_back(std::exp(s));
          seen.push_back(u);
        }
        double sum = 0;
        for (double value : e) sum += value;
        for (size_t j = 0; j < seen.size(); ++j) {
          for (int64_t i = 0; i < d; ++i) {
            y[((begin + t) * o.heads + h) * d + i] +=
                e[j] / sum * v[((begin + seen[j]) * o.kv_heads + kv) * d + i];
          }
        }
      }
    }
    begin += length;
  }
  return y;
}

}  // namespace quantd::test

#endif  // QUANTD_TESTS_TENSOR_GRADIENT_ORACLES_H_
