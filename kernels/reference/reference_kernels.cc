#include "kernels/reference/reference_kernels.h"

#include <cmath>
#include <limits>
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

void Rotary(float* x, int64_t rows, int64_t heads, int64_t head_dim,
            int64_t tokens, const float* cos, const float* sin) {
  const int64_t half = head_dim / 2;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t position = r % tokens;
    for (int64_t h = 0; h < heads; ++h) {
      float* head = x + (r * heads + h) * head_dim;
      for (int64_t i = 0; i < half; ++i) {
        const double c = cos[position * half + i];
        const double s = sin[position * half + i];
        const double a = head[i];
        const double b = head[i + half];
        head[i] = static_cast<float>(a * c - b * s);
        head[i + half] = static_cast<float>(b * c + a * s);
      }
    }
  }
}

void CausalAttention(const AttentionArgs& args) {
  const int64_t d = args.head_dim;
  const int64_t q_cols = args.heads * d;
  const int64_t kv_cols = args.kv_heads * d;
  const int64_t per_kv = args.heads / args.kv_heads;
  std::vector<double> p(static_cast<size_t>(args.tokens));
  for (int64_t s = 0; s < args.sequences; ++s) {
    for (int64_t h = 0; h < args.heads; ++h) {
      const int64_t kv = h / per_kv;
      for (int64_t t = 0; t < args.tokens; ++t) {
        const float* q = args.q + (s * args.tokens + t) * q_cols + h * d;
        double max = -std::numeric_limits<double>::infinity();
        for (int64_t u = 0; u <= t; ++u) {
          const float* k = args.k + (s * args.tokens + u) * kv_cols + kv * d;
          double dot = 0;
          for (int64_t i = 0; i < d; ++i) {
            dot += static_cast<double>(q[i]) * k[i];
          }
          p[u] = dot * args.scale;
          max = std::max(max, p[u]);
        }
        double sum = 0;
        for (int64_t u = 0; u <= t; ++u) {
          p[u] = std::exp(p[u] - max);
          sum += p[u];
        }
        float* out = args.out + (s * args.tokens + t) * q_cols + h * d;
        for (int64_t i = 0; i < d; ++i) {
          double acc = 0;
          for (int64_t u = 0; u <= t; ++u) {
            acc += p[u] * args.v[(s * args.tokens + u) * kv_cols + kv * d + i];
          }
          out[i] = static_cast<float>(acc / sum);
        }
      }
    }
  }
}

void SiluMul(const float* gate, const float* up, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) {
    const double g = gate[i];
    y[i] = static_cast<float>(g / (1.0 + std::exp(-g)) * up[i]);
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

}  // namespace quantd::reference
