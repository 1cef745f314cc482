#include "kernels/reference/reference_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace quantd::reference {

void Gemm(const GemmArgs& args) {
  for (int64_t i = 0; i < args.m; ++i) {
    for (int64_t j = 0; j < args.n; ++j) {
      double sum = 0;
      for (int64_t p = 0; p < args.k; ++p) {
        const float a = args.transpose_a == Transpose::kYes
                            ? args.a[p * args.lda + i]
                            : args.a[i * args.lda + p];
        const float b = args.transpose_b == Transpose::kYes
                            ? args.b[j * args.ldb + p]
                            : args.b[p * args.ldb + j];
        sum += static_cast<double>(a) * b;
      }
      float& c = args.c[i * args.ldc + j];
      if (args.beta != 0.0f) sum += static_cast<double>(args.beta) * c;
      c = static_cast<float>(sum);
    }
  }
}

void AccumulateGram(const float* x, int64_t rows, int64_t cols, double* gram) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < cols; ++i) {
      for (int64_t j = 0; j < cols; ++j) {
        gram[i * cols + j] +=
            static_cast<double>(x[r * cols + i]) * x[r * cols + j];
      }
    }
  }
}

void RmsNorm(const float* x, const float* weight, float eps, int64_t rows,
             int64_t cols, float* y) {
  for (int64_t r = 0; r < rows; ++r) {
    double squares = 0;
    for (int64_t c = 0; c < cols; ++c) {
      squares += static_cast<double>(x[r * cols + c]) * x[r * cols + c];
    }
    const double inverse = 1.0 / std::sqrt(squares / cols + eps);
    for (int64_t c = 0; c < cols; ++c) {
      y[r * cols + c] =
          static_cast<float>(x[r * cols + c] * inverse * weight[c]);
    }
  }
}

void LayerNorm(const float* x, const float* weight, const float* bias,
               float eps, int64_t rows, int64_t cols, float* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* src = x + r * cols;
    double mean = 0;
    for (int64_t c = 0; c < cols; ++c) mean += src[c];
    mean /= static_cast<double>(cols);
    double variance = 0;
    for (int64_t c = 0; c < cols; ++c) {
      variance += (src[c] - mean) * (src[c] - mean);
    }
    const double inverse =
        1.0 / std::sqrt(variance / static_cast<double>(cols) + eps);
    for (int64_t c = 0; c < cols; ++c) {
      double value = (src[c] - mean) * inverse;
      if (weight != nullptr) value *= weight[c];
      if (bias != nullptr) value += bias[c];
      y[r * cols + c] = static_cast<float>(value);
    }
  }
}

void Rotary(const RotaryArgs& args) {
  const int64_t half = args.rotary_dim / 2;
  const int64_t stride = args.interleaved ? 2 : 1;
  const int64_t partner = args.interleaved ? 1 : half;
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* cos = args.cos + args.positions[r] * half;
    const float* sin = args.sin + args.positions[r] * half;
    for (int64_t h = 0; h < args.heads; ++h) {
      float* head = args.x + (r * args.heads + h) * args.head_dim;
      for (int64_t i = 0; i < half; ++i) {
        float& a = head[i * stride];
        float& b = head[i * stride + partner];
        const double x = a;
        const double y = b;
        a = static_cast<float>(x * cos[i] - y * sin[i]);
        b = static_cast<float>(y * cos[i] + x * sin[i]);
      }
    }
  }
}

namespace {

void AttendOne(const AttentionArgs& args, const AttentionSequence& sequence,
               int64_t head, int64_t query, std::vector<double>& p) {
  const int64_t d = args.head_dim;
  const int64_t q_cols = args.heads * d;
  const int64_t kv_cols = args.kv_heads * d;
  const int64_t kv = head / (args.heads / args.kv_heads);
  const int64_t position = sequence.keys - sequence.queries + query;
  const int64_t end = args.causal ? position + 1 : sequence.keys;
  const int64_t begin =
      args.window > 0 ? std::max<int64_t>(0, position + 1 - args.window) : 0;
  const float* q = sequence.q + query * q_cols + head * d;
  p.resize(static_cast<size_t>(end));
  double max = -std::numeric_limits<double>::infinity();
  for (int64_t u = begin; u < end; ++u) {
    const float* k = sequence.k + u * kv_cols + kv * d;
    double score = 0;
    for (int64_t i = 0; i < d; ++i) score += static_cast<double>(q[i]) * k[i];
    score *= args.scale;
    if (args.softcap > 0) {
      score = args.softcap * std::tanh(score / args.softcap);
    }
    if (args.key_bias != nullptr) {
      score += args.key_bias[head * args.key_bias_ld + u];
    }
    p[static_cast<size_t>(u)] = score;
    max = std::max(max, score);
  }
  double sum = 0;
  for (int64_t u = begin; u < end; ++u) {
    double& value = p[static_cast<size_t>(u)];
    value = std::exp(value - max);
    sum += value;
  }
  float* out = sequence.out + query * q_cols + head * d;
  for (int64_t i = 0; i < d; ++i) {
    double total = 0;
    for (int64_t u = begin; u < end; ++u) {
      total += p[static_cast<size_t>(u)] * sequence.v[u * kv_cols + kv * d + i];
    }
    out[i] = static_cast<float>(total / sum);
  }
  if (sequence.received == nullptr) return;
  double* const received = sequence.received + head * sequence.keys;
  for (int64_t u = begin; u < end; ++u) {
    received[u] += p[static_cast<size_t>(u)] / sum;
  }
}

double Sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

double NormalDistribution(double x) {
  return 0.5 * (1 + std::erf(x / std::sqrt(2.0)));
}

struct ActivationRow {
  Activation activation;
  double (*apply)(double x);
};

constexpr ActivationRow kActivations[] = {
    {Activation::kIdentity, [](double x) { return x; }},
    {Activation::kRelu, [](double x) { return x > 0 ? x : 0.0; }},
    {Activation::kReluSquared, [](double x) { return x > 0 ? x * x : 0.0; }},
    {Activation::kSilu, [](double x) { return x * Sigmoid(x); }},
    {Activation::kGelu, [](double x) { return x * NormalDistribution(x); }},
    {Activation::kGeluTanh,
     [](double x) {
       const double inner =
           std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
       return 0.5 * x * (1 + std::tanh(inner));
     }},
    {Activation::kQuickGelu, [](double x) { return x * Sigmoid(1.702 * x); }},
    {Activation::kTanh, [](double x) { return std::tanh(x); }},
    {Activation::kSigmoid, Sigmoid},
    {Activation::kRelu6, [](double x) { return std::clamp(x, 0.0, 6.0); }},
    {Activation::kLeakyRelu, [](double x) { return x > 0 ? x : 0.01 * x; }},
    {Activation::kMish,
     [](double x) { return x * std::tanh(std::log1p(std::exp(x))); }},
    {Activation::kGeluClipped,
     [](double x) {
       return std::clamp(x * NormalDistribution(x), -10.0, 10.0);
     }},
    {Activation::kLaplace,
     [](double x) { return NormalDistribution((x - 0.707107) / 0.282095); }},
};

double Apply(Activation activation, double x) {
  return kActivations[static_cast<size_t>(activation)].apply(x);
}

}  // namespace

void Attention(const AttentionArgs& args) {
  std::vector<double> scratch;
  for (int64_t s = 0; s < args.sequence_count; ++s) {
    const AttentionSequence& sequence = args.sequences[s];
    if (sequence.received != nullptr) {
      std::fill_n(sequence.received, args.heads * sequence.keys, 0.0);
    }
    for (int64_t head = 0; head < args.heads; ++head) {
      for (int64_t t = 0; t < args.sequences[s].queries; ++t) {
        AttendOne(args, args.sequences[s], head, t, scratch);
      }
    }
  }
}

void Activate(Activation activation, const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) {
    y[i] = static_cast<float>(Apply(activation, x[i]));
  }
}

void ActivateMul(Activation activation, const float* gate, const float* up,
                 int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) {
    y[i] = static_cast<float>(Apply(activation, gate[i]) * up[i]);
  }
}

void Softcap(float cap, int64_t count, float* x) {
  for (int64_t i = 0; i < count; ++i) {
    x[i] = static_cast<float>(cap * std::tanh(static_cast<double>(x[i]) / cap));
  }
}

void CausalConv(const CausalConvArgs& args) {
  const int64_t past = args.width - 1;
  // The history and the new rows as one sequence.
  std::vector<float> rows(
      static_cast<size_t>((past + args.tokens) * args.channels));
  std::copy_n(args.history, past * args.channels, rows.data());
  std::copy_n(args.x, args.tokens * args.channels,
              rows.data() + past * args.channels);
  for (int64_t t = 0; t < args.tokens; ++t) {
    for (int64_t c = 0; c < args.channels; ++c) {
      double sum = args.bias != nullptr ? args.bias[c] : 0.0;
      for (int64_t j = 0; j < args.width; ++j) {
        sum += static_cast<double>(args.weight[c * args.width + j]) *
               rows[static_cast<size_t>((t + j) * args.channels + c)];
      }
      args.y[t * args.channels + c] = static_cast<float>(sum);
    }
  }
  std::copy_n(rows.data() + args.tokens * args.channels, past * args.channels,
              args.history);
}

void SelectiveScan(const SelectiveScanArgs& args) {
  for (int64_t t = 0; t < args.tokens; ++t) {
    for (int64_t c = 0; c < args.channels; ++c) {
      const double u = args.u[t * args.channels + c];
      const double dt = args.dt[t * args.channels + c];
      double y = args.skip[c] * u;
      for (int64_t n = 0; n < args.states; ++n) {
        float& h = args.h[c * args.states + n];
        h = static_cast<float>(std::exp(dt * args.a[c * args.states + n]) * h +
                               dt * args.b[t * args.states + n] * u);
        y += static_cast<double>(args.c[t * args.states + n]) * h;
      }
      args.y[t * args.channels + c] = static_cast<float>(y);
    }
  }
}

void Add(const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] += x[i];
}

void AddBias(const float* bias, int64_t rows, int64_t cols, float* y) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) y[r * cols + c] += bias[c];
  }
}

void NegativeLogLikelihood(const float* logits, const int32_t* targets,
                           int64_t rows, int64_t cols, double* nll) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = logits + r * cols;
    double max = row[0];
    for (int64_t c = 1; c < cols; ++c) {
      // Written so that a NaN logit becomes the maximum and then the result.
      if (!(row[c] <= max)) max = row[c];
    }
    double sum = 0;
    for (int64_t c = 0; c < cols; ++c) sum += std::exp(row[c] - max);
    nll[r] = max + std::log(sum) - row[targets[r]];
  }
}

void DecodePackedInt(const PackedIntArgs& args) {
  const int64_t row_bytes = (args.cols * args.bits + 7) / 8;
  const uint32_t mask = (1u << args.bits) - 1;
  for (int64_t r = 0; r < args.rows; ++r) {
    const uint8_t* codes = args.codes + r * row_bytes;
    for (int64_t c = 0; c < args.cols; ++c) {
      const int64_t bit = c * args.bits;
      uint32_t word = codes[bit / 8];
      // A code spans at most two bytes (bits <= 8).
      if (bit % 8 + args.bits > 8) word |= uint32_t{codes[bit / 8 + 1]} << 8;
      const int code = static_cast<int>((word >> (bit % 8)) & mask);
      const int64_t g =
          args.group_of != nullptr ? args.group_of[c] : c / args.group_size;
      const int zero = args.zeros[r * args.groups + g];
      args.out[r * args.cols + c] =
          args.scales[r * args.groups + g] * static_cast<float>(code - zero);
    }
  }
}

void FindNearestCentroids(const NearestCentroidArgs& args) {
  for (int64_t i = 0; i < args.count; ++i) {
    const float* x = args.vectors + i * args.dimension;
    float best = std::numeric_limits<float>::infinity();
    int32_t best_index = 0;
    for (int64_t j = 0; j < args.centroid_count; ++j) {
      float distance = 0;
      for (int64_t t = 0; t < args.dimension; ++t) {
        const float d = x[t] - args.centroids[t * args.centroid_count + j];
        distance += args.weights == nullptr
                        ? d * d
                        : args.weights[i * args.dimension + t] * (d * d);
      }
      if (distance < best) {
        best = distance;
        best_index = static_cast<int32_t>(j);
      }
    }
    args.nearest[i] = best_index;
  }
}

}  // namespace quantd::reference
