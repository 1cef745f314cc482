#include "kernels/reference/backward_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace quantd::reference {
namespace {

// Shared by both norms: `centred` says whether the mean is taken off first.
void NormBackward(const NormBackwardArgs& args, bool centred) {
  const double n = static_cast<double>(args.cols);
  const size_t cols = static_cast<size_t>(args.cols);
  std::vector<double> normal(cols), g(cols);
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* x = args.x + r * args.cols;
    const float* dy = args.dy + r * args.cols;
    double mean = 0;
    for (size_t c = 0; c < cols && centred; ++c) mean += x[c] / n;
    double variance = 0;
    for (size_t c = 0; c < cols; ++c) {
      variance += (x[c] - mean) * (x[c] - mean) / n;
    }
    const double inverse = 1 / std::sqrt(variance + args.eps);
    double g_mean = 0;
    double g_normal = 0;
    for (size_t c = 0; c < cols; ++c) {
      normal[c] = (x[c] - mean) * inverse;
      g[c] = static_cast<double>(dy[c]) *
             (args.weight == nullptr ? 1.0 : args.weight[c]);
      if (centred) g_mean += g[c] / n;
      g_normal += g[c] * normal[c] / n;
      if (args.dweight != nullptr) args.dweight[c] += dy[c] * normal[c];
      if (centred && args.dbias != nullptr) args.dbias[c] += dy[c];
    }
    for (size_t c = 0; c < cols; ++c) {
      args.dx[r * args.cols + static_cast<int64_t>(c)] =
          static_cast<float>(inverse * (g[c] - g_mean - normal[c] * g_normal));
    }
  }
}

// The keys that `query` of a sequence without a past sees.
struct KeyRange {
  int64_t begin;
  int64_t end;
};

KeyRange VisibleKeys(const AttentionArgs& args, int64_t keys, int64_t query) {
  return {args.window > 0 ? std::max<int64_t>(0, query + 1 - args.window) : 0,
          args.causal ? query + 1 : keys};
}

double Dot(const float* a, const float* b, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

// p = softmax(row / temperature).
void Softmax(const float* row, int64_t cols, double temperature,
             std::vector<double>* p) {
  double max = -std::numeric_limits<double>::infinity();
  for (int64_t c = 0; c < cols; ++c) {
    if (!(row[c] <= max)) max = row[c];
  }
  double sum = 0;
  p->resize(static_cast<size_t>(cols));
  for (int64_t c = 0; c < cols; ++c) {
    double& value = (*p)[static_cast<size_t>(c)];
    value = std::exp((row[c] - max) / temperature);
    sum += value;
  }
  for (double& value : *p) value /= sum;
}

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double NormalDistribution(double x) {
  return 0.5 * (1 + std::erf(x / std::sqrt(2.0)));
}

double NormalDensity(double x) {
  return std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi);
}

double GeluDerivative(double x) {
  return NormalDistribution(x) + x * NormalDensity(x);
}

struct DerivativeRow {
  Activation activation;
  double (*derivative)(double x);
};

constexpr DerivativeRow kDerivatives[] = {
    {Activation::kIdentity, [](double) { return 1.0; }},
    {Activation::kRelu, [](double x) { return x > 0 ? 1.0 : 0.0; }},
    {Activation::kReluSquared, [](double x) { return x > 0 ? 2 * x : 0.0; }},
    {Activation::kSilu,
     [](double x) {
       const double s = Sigmoid(x);
       return s * (1 + x * (1 - s));
     }},
    {Activation::kGelu, GeluDerivative},
    {Activation::kGeluTanh,
     [](double x) {
       const double factor = std::sqrt(2 / std::numbers::pi);
       const double t = std::tanh(factor * (x + 0.044715 * x * x * x));
       return 0.5 * (1 + t) +
              0.5 * x * (1 - t * t) * factor * (1 + 3 * 0.044715 * x * x);
     }},
    {Activation::kQuickGelu,
     [](double x) {
       const double s = Sigmoid(1.702 * x);
       return s * (1 + 1.702 * x * (1 - s));
     }},
    {Activation::kTanh,
     [](double x) {
       const double t = std::tanh(x);
       return 1 - t * t;
     }},
    {Activation::kSigmoid,
     [](double x) {
       const double s = Sigmoid(x);
       return s * (1 - s);
     }},
    {Activation::kRelu6, [](double x) { return x > 0 && x <= 6 ? 1.0 : 0.0; }},
    {Activation::kLeakyRelu, [](double x) { return x > 0 ? 1.0 : 0.01; }},
    {Activation::kMish,
     [](double x) {
       const double t = std::tanh(std::log1p(std::exp(x)));
       return t + x * (1 - t * t) * Sigmoid(x);
     }},
    {Activation::kGeluClipped,
     [](double x) {
       return std::abs(x * NormalDistribution(x)) <= 10 ? GeluDerivative(x)
                                                        : 0.0;
     }},
    {Activation::kLaplace,
     [](double x) {
       return NormalDensity((x - 0.707107) / 0.282095) / 0.282095;
     }},
};

}  // namespace

void RmsNormBackward(const NormBackwardArgs& args) {
  NormBackward(args, /*centred=*/false);
}

void LayerNormBackward(const NormBackwardArgs& args) {
  NormBackward(args, /*centred=*/true);
}

void AttentionBackward(const AttentionArgs& args,
                       const AttentionGradients* gradients) {
  const int64_t d = args.head_dim;
  const int64_t q_cols = args.heads * d;
  const int64_t kv_cols = args.kv_heads * d;
  std::vector<double> p, capped, dp;
  for (int64_t s = 0; s < args.sequence_count; ++s) {
    const AttentionSequence& sequence = args.sequences[s];
    const AttentionGradients& out = gradients[s];
    const size_t kv_size = static_cast<size_t>(sequence.keys * kv_cols);
    std::vector<double> dk(kv_size, 0.0), dv(kv_size, 0.0);
    for (int64_t head = 0; head < args.heads; ++head) {
      const int64_t kv = head / (args.heads / args.kv_heads);
      for (int64_t t = 0; t < sequence.queries; ++t) {
        const KeyRange range = VisibleKeys(args, sequence.keys, t);
        const size_t size = static_cast<size_t>(sequence.keys);
        p.assign(size, 0.0);
        capped.assign(size, 0.0);
        dp.assign(size, 0.0);
        const float* q = sequence.q + t * q_cols + head * d;
        const float* dout = out.dout + t * q_cols + head * d;
        double max = -std::numeric_limits<double>::infinity();
        for (int64_t u = range.begin; u < range.end; ++u) {
          double score =
              args.scale * Dot(q, sequence.k + u * kv_cols + kv * d, d);
          if (args.softcap > 0) {
            score = args.softcap * std::tanh(score / args.softcap);
          }
          capped[static_cast<size_t>(u)] = score;
          if (args.key_bias != nullptr) {
            score += args.key_bias[head * args.key_bias_ld + u];
          }
          p[static_cast<size_t>(u)] = score;
          max = std::max(max, score);
        }
        double sum = 0;
        for (int64_t u = range.begin; u < range.end; ++u) {
          double& value = p[static_cast<size_t>(u)];
          value = std::exp(value - max);
          sum += value;
        }
        double mean = 0;
        for (int64_t u = range.begin; u < range.end; ++u) {
          const size_t i = static_cast<size_t>(u);
          p[i] /= sum;
          dp[i] = Dot(dout, sequence.v + u * kv_cols + kv * d, d);
          mean += p[i] * dp[i];
        }
        std::vector<double> dq(static_cast<size_t>(d), 0.0);
        for (int64_t u = range.begin; u < range.end; ++u) {
          const size_t i = static_cast<size_t>(u);
          double ds = p[i] * (dp[i] - mean);
          if (args.softcap > 0) {
            const double part = capped[i] / args.softcap;
            ds *= 1 - part * part;
          }
          ds *= args.scale;
          for (int64_t j = 0; j < d; ++j) {
            const size_t at = static_cast<size_t>(u * kv_cols + kv * d + j);
            dq[static_cast<size_t>(j)] += ds * sequence.k[at];
            dk[at] += ds * q[j];
            dv[at] += p[i] * dout[j];
          }
        }
        for (int64_t j = 0; j < d; ++j) {
          out.dq[t * q_cols + head * d + j] =
              static_cast<float>(dq[static_cast<size_t>(j)]);
        }
      }
    }
    for (size_t i = 0; i < kv_size; ++i) {
      out.dk[i] = static_cast<float>(dk[i]);
      out.dv[i] = static_cast<float>(dv[i]);
    }
  }
}

void ActivateBackward(Activation activation, const float* x, const float* dy,
                      int64_t count, float* dx) {
  const auto derivative =
      kDerivatives[static_cast<size_t>(activation)].derivative;
  for (int64_t i = 0; i < count; ++i) {
    dx[i] = static_cast<float>(derivative(x[i]) * dy[i]);
  }
}

void SoftcapBackward(float cap, const float* y, const float* dy, int64_t count,
                     float* dx) {
  for (int64_t i = 0; i < count; ++i) {
    const double part = static_cast<double>(y[i]) / cap;
    dx[i] = static_cast<float>(dy[i] * (1 - part * part));
  }
}

void Multiply(const float* x, const float* y, int64_t count, float* z) {
  for (int64_t i = 0; i < count; ++i) z[i] = x[i] * y[i];
}

void SumRows(const float* x, int64_t rows, int64_t cols, double* sums) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) sums[c] += x[r * cols + c];
  }
}

void NegativeLogLikelihoodBackward(const float* logits, const int32_t* targets,
                                   const double* dnll, int64_t rows,
                                   int64_t cols, float* dlogits) {
  std::vector<double> p;
  for (int64_t r = 0; r < rows; ++r) {
    Softmax(logits + r * cols, cols, 1.0, &p);
    p[static_cast<size_t>(targets[r])] -= 1;
    for (int64_t c = 0; c < cols; ++c) {
      dlogits[r * cols + c] =
          static_cast<float>(dnll[r] * p[static_cast<size_t>(c)]);
    }
  }
}

void KlDivergence(const float* teacher, const float* student, float temperature,
                  int64_t rows, int64_t cols, double* kl) {
  std::vector<double> p, q;
  for (int64_t r = 0; r < rows; ++r) {
    const float* t = teacher + r * cols;
    const float* s = student + r * cols;
    Softmax(t, cols, temperature, &p);
    Softmax(s, cols, temperature, &q);
    // log p - log q without a logarithm of what has underflowed.
    const double t_max = *std::max_element(t, t + cols);
    const double s_max = *std::max_element(s, s + cols);
    double t_sum = 0, s_sum = 0, shifts = 0;
    for (int64_t c = 0; c < cols; ++c) {
      t_sum += std::exp((t[c] - t_max) / temperature);
      s_sum += std::exp((s[c] - s_max) / temperature);
      shifts += p[static_cast<size_t>(c)] * ((t[c] - t_max) - (s[c] - s_max)) /
                temperature;
    }
    kl[r] = shifts - std::log(t_sum) + std::log(s_sum);
  }
}

void KlDivergenceBackward(const float* teacher, const float* student,
                          float temperature, const double* dkl, int64_t rows,
                          int64_t cols, float* dstudent) {
  std::vector<double> p, q;
  for (int64_t r = 0; r < rows; ++r) {
    Softmax(teacher + r * cols, cols, temperature, &p);
    Softmax(student + r * cols, cols, temperature, &q);
    for (int64_t c = 0; c < cols; ++c) {
      const size_t i = static_cast<size_t>(c);
      dstudent[r * cols + c] =
          static_cast<float>(dkl[r] * (q[i] - p[i]) / temperature);
    }
  }
}

void CausalConvBackward(const CausalConvBackwardArgs& args) {
  for (int64_t t = 0; t < args.tokens; ++t) {
    for (int64_t c = 0; c < args.channels; ++c) {
      // x[t] is read by y[t .. t + width - 1].
      double sum = 0;
      for (int64_t j = 0; j < args.width; ++j) {
        const int64_t later = t + args.width - 1 - j;
        if (later >= args.tokens) continue;
        sum += static_cast<double>(args.weight[c * args.width + j]) *
               args.dy[later * args.channels + c];
      }
      args.dx[t * args.channels + c] = static_cast<float>(sum);
      const double dy = args.dy[t * args.channels + c];
      if (args.dbias != nullptr) args.dbias[c] += dy;
      for (int64_t j = 0; j < args.width && args.dweight != nullptr; ++j) {
        const int64_t source = t - args.width + 1 + j;
        if (source < 0) continue;
        args.dweight[c * args.width + j] +=
            dy * args.x[source * args.channels + c];
      }
    }
  }
}

void SelectiveScanBackward(const SelectiveScanBackwardArgs& args) {
  const int64_t states = args.states;
  const size_t over_time = static_cast<size_t>(args.tokens * states);
  std::vector<double> db(over_time, 0.0), dc(over_time, 0.0);
  // The states of one channel after every token, and before the first.
  std::vector<double> h(over_time + static_cast<size_t>(states));
  std::vector<double> dh(static_cast<size_t>(states));
  for (int64_t c = 0; c < args.channels; ++c) {
    const float* a = args.a + c * states;
    std::fill_n(h.begin(), states, 0.0);
    for (int64_t t = 0; t < args.tokens; ++t) {
      const double u = args.u[t * args.channels + c];
      const double dt = args.dt[t * args.channels + c];
      for (int64_t n = 0; n < states; ++n) {
        const size_t before = static_cast<size_t>(t * states + n);
        h[before + static_cast<size_t>(states)] =
            std::exp(dt * a[n]) * h[before] + dt * args.b[t * states + n] * u;
      }
    }
    std::fill(dh.begin(), dh.end(), 0.0);
    for (int64_t t = args.tokens - 1; t >= 0; --t) {
      const int64_t at = t * args.channels + c;
      const double u = args.u[at];
      const double dt = args.dt[at];
      const double dy = args.dy[at];
      double du = dy * args.skip[c];
      double ddt = 0;
      if (args.dskip != nullptr) args.dskip[c] += dy * u;
      for (int64_t n = 0; n < states; ++n) {
        const size_t i = static_cast<size_t>(t * states + n);
        const double before = h[i];
        const double decay = std::exp(dt * a[n]);
        double& dstate = dh[static_cast<size_t>(n)];
        dc[i] += dy * h[i + static_cast<size_t>(states)];
        dstate += dy * args.c[i];
        du += dstate * dt * args.b[i];
        db[i] += dstate * dt * u;
        ddt += dstate * (a[n] * decay * before + args.b[i] * u);
        if (args.da != nullptr) {
          args.da[c * states + n] += dstate * dt * decay * before;
        }
        dstate *= decay;
      }
      args.du[at] = static_cast<float>(du);
      args.ddt[at] = static_cast<float>(ddt);
    }
  }
  for (size_t i = 0; i < over_time; ++i) {
    args.db[i] = static_cast<float>(db[i]);
    args.dc[i] = static_cast<float>(dc[i]);
  }
}

}  // namespace quantd::reference
