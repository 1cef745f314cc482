// The gradient of every operation against central differences, in float64, of
// an oracle of its own (gradient_oracles.h), on every device.
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tensor/estimators.h"
#include "tensor/gradient_tape.h"
#include "tensor/ops.h"
#include "tests/tensor/gradient_checker.h"
#include "tests/tensor/gradient_oracles.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::ActivationOracle;
using ::quantd::test::AttentionOracle;
using ::quantd::test::AttentionOracleOptions;
using ::quantd::test::Doubles;
using ::quantd::test::Inputs;
using ::quantd::test::LinearOracle;
using ::quantd::test::NormOracle;
using ::quantd::test::Operation;
using ::quantd::test::RotaryOracle;

class GradientsTest : public test::GradientChecker {};

TEST_P(GradientsTest, Products) {
  Check(
      "linear", {Random({5, 7}), Random({3, 7})},
      [](const Inputs& in, ExecutionContext& ctx) {
        return ops::LinearProduct(in[0], in[1], ctx);
      },
      [](const std::vector<Doubles>& in) {
        return LinearOracle(in[0], in[1], 7);
      });
  Check(
      "bias", {Random({4, 5}), Random({5})},
      [](const Inputs& in, ExecutionContext& ctx) {
        return ops::AddBias(in[0], in[1], ctx);
      },
      [](const std::vector<Doubles>& in) {
        Doubles y = in[0];
        for (size_t i = 0; i < y.size(); ++i) y[i] += in[1][i % 5];
        return y;
      });
  Check(
      "sum", {Random({4, 5}), Random({4, 5})},
      [](const Inputs& in, ExecutionContext& ctx) {
        return ops::Add(in[0], in[1], ctx);
      },
      [](const std::vector<Doubles>& in) {
        Doubles y = in[0];
        for (size_t i = 0; i < y.size(); ++i) y[i] += in[1][i];
        return y;
      });
  Check(
      "product", {Random({4, 9}), Random({4, 9})},
      [](const Inputs& in, ExecutionContext& ctx) {
        return ops::Multiply(in[0], in[1], ctx);
      },
      [](const std::vector<Doubles>& in) {
        Doubles y = in[0];
        for (size_t i = 0; i < y.size(); ++i) y[i] *= in[1][i];
        return y;
      });
}

TEST_P(GradientsTest, Norms) {
  for (int64_t cols : {3, 16, 37}) {
    Check(
        "rms", {Random({6, cols}), Random({cols})},
        [](const Inputs& in, ExecutionContext& ctx) {
          return ops::RmsNorm(in[0], in[1], 1e-3f, ctx);
        },
        [=](const std::vector<Doubles>& in) {
          return NormOracle(in[0], in[1], {}, 1e-3, cols, false);
        });
    Check(
        "layer", {Random({6, cols}), Random({cols}), Random({cols})},
        [](const Inputs& in, ExecutionContext& ctx) {
          return ops::LayerNorm(in[0], in[1], in[2], 1e-3f, ctx);
        },
        [=](const std::vector<Doubles>& in) {
          return NormOracle(in[0], in[1], in[2], 1e-3, cols, true);
        });
    Check(
        "layer without weight and bias", {Random({6, cols})},
        [](const Inputs& in, ExecutionContext& ctx) {
          return ops::LayerNorm(in[0], Tensor(), Tensor(), 1e-3f, ctx);
        },
        [=](const std::vector<Doubles>& in) {
          return NormOracle(in[0], {}, {}, 1e-3, cols, true);
        });
  }
}

TEST_P(GradientsTest, Rotations) {
  const std::vector<int64_t> lengths = {3, 5};
  const SequenceBatch batch = SequenceBatch::Ragged(lengths);
  const std::vector<int> positions(batch.positions().begin(),
                                   batch.positions().end());
  for (int64_t rotary_dim : {4, 8}) {
    Tensor cos = Tensor::Uninitialized({5, rotary_dim / 2});
    Tensor sin = Tensor::Uninitialized({5, rotary_dim / 2});
    for (int64_t p = 0; p < 5; ++p) {
      for (int64_t i = 0; i < rotary_dim / 2; ++i) {
        const double theta =
            static_cast<double>(p) *
            std::pow(100.0, -2.0 * static_cast<double>(i) / rotary_dim);
        cos.row(p)[i] = static_cast<float>(std::cos(theta));
        sin.row(p)[i] = static_cast<float>(std::sin(theta));
      }
    }
    for (bool interleaved : {false, true}) {
      Check(
          "rotary", {Random({8, 16})},
          [&](const Inputs& in, ExecutionContext& ctx) {
            return ops::Rotary(in[0], {8, rotary_dim, interleaved}, batch, cos,
                               sin, ctx);
          },
          [&](const std::vector<Doubles>& in) {
            return RotaryOracle(in[0], positions, 8, rotary_dim, interleaved,
                                100.0);
          });
    }
  }
}

TEST_P(GradientsTest, Attention) {
  AttentionOracleOptions plain;
  plain.heads = 4;
  plain.kv_heads = 2;
  plain.head_dim = 6;
  plain.scale = 0.7;
  plain.lengths = {5, 9};
  AttentionOracleOptions all = plain;
  all.causal = false;
  AttentionOracleOptions window = plain;
  window.window = 3;
  AttentionOracleOptions capped = plain;
  capped.softcap = 1.5;
  AttentionOracleOptions biased = capped;
  biased.kv_heads = 4;
  for (int i = 0; i < 4 * 9; ++i)
    biased.key_bias.push_back(0.1 * (i % 7) - 0.3);
  // More queries than a block of the tuned kernel.
  AttentionOracleOptions long_one = plain;
  long_one.heads = long_one.kv_heads = 1;
  long_one.head_dim = 2;
  long_one.window = 40;
  long_one.lengths = {150};
  for (const AttentionOracleOptions& o :
       {plain, all, window, capped, biased, long_one}) {
    ops::AttentionOptions options;
    options.head_dim = o.head_dim;
    options.scale = static_cast<float>(o.scale);
    options.causal = o.causal;
    options.window = o.window;
    options.softcap = static_cast<float>(o.softcap);
    const SequenceBatch batch = SequenceBatch::Ragged(o.lengths);
    if (!o.key_bias.empty()) {
      options.key_bias = Tensor::Uninitialized({o.heads, batch.longest()});
      for (size_t i = 0; i < o.key_bias.size(); ++i) {
        options.key_bias.data()[i] = static_cast<float>(o.key_bias[i]);
      }
    }
    const int64_t rows = batch.rows();
    Check(
        "attention",
        {Random({rows, o.heads * o.head_dim}),
         Random({rows, o.kv_heads * o.head_dim}),
         Random({rows, o.kv_heads * o.head_dim})},
        [&](const Inputs& in, ExecutionContext& ctx) {
          return ops::Attention(in[0], in[1], in[2], options, batch, ctx);
        },
        [&](const std::vector<Doubles>& in) {
          return AttentionOracle(in[0], in[1], in[2], o);
        });
  }
}

TEST_P(GradientsTest, Activations) {
  for (int i = 0; i <= static_cast<int>(Activation::kLaplace); ++i) {
    const auto activation = static_cast<Activation>(i);
    // Wide enough for both ends of kRelu6 and kGeluClipped.
    for (float range : {1.0f, 14.0f}) {
      Check(
          "activation " + std::to_string(i), {Random({5, 9}, range)},
          [=](const Inputs& in, ExecutionContext& ctx) {
            return ops::Activate(activation, in[0], ctx);
          },
          [=](const std::vector<Doubles>& in) {
            Doubles y;
            for (double x : in[0]) y.push_back(ActivationOracle(activation, x));
            return y;
          });
      Check(
          "gated activation " + std::to_string(i),
          {Random({5, 9}, range), Random({5, 9})},
          [=](const Inputs& in, ExecutionContext& ctx) {
            return ops::ActivateMul(activation, in[0], in[1], ctx);
          },
          [=](const std::vector<Doubles>& in) {
            Doubles y;
            for (size_t j = 0; j < in[0].size(); ++j) {
              y.push_back(ActivationOracle(activation, in[0][j]) * in[1][j]);
            }
            return y;
          });
    }
  }
}

TEST_P(GradientsTest, ElementByElement) {
  const auto check = [&](const char* what, const Operation& operation,
                         double (*oracle)(double)) {
    Check(what, {Random({4, 11}, 3.0f)}, operation,
          [=](const std::vector<Doubles>& in) {
            Doubles y;
            for (double x : in[0]) y.push_back(oracle(x));
            return y;
          });
  };
  check(
      "softcap",
      [](const Inputs& in, ExecutionContext& ctx) {
        return ops::Softcap(in[0], 2.0f, ctx);
      },
      [](double x) { return 2 * std::tanh(x / 2); });
  check(
      "softplus",
      [](const Inputs& in, ExecutionContext&) { return ops::Softplus(in[0]); },
      [](double x) { return std::log(1 + std::exp(x)); });
  check(
      "scale",
      [](const Inputs& in, ExecutionContext&) {
        return ops::Scale(in[0], -1.75f);
      },
      [](double x) { return -1.75 * x; });
  check(
      "clamp",
      [](const Inputs& in, ExecutionContext& ctx) {
        return ops::Clip(in[0], -1.25f, 1.25f, ctx);
      },
      [](double x) { return std::min(std::max(x, -1.25), 1.25); });
}

TEST_P(GradientsTest, RowsAndColumns) {
  Check(
      "columns, one of them twice", {Random({3, 8})},
      [](const Inputs& in, ExecutionContext&) {
        return ops::GatherColumns(in[0], {{5, 2}, {0, 3}, {6, 2}});
      },
      [](const std::vector<Doubles>& in) {
        Doubles y;
        for (size_t r = 0; r < 3; ++r) {
          for (size_t c : {5, 6, 0, 1, 2, 6, 7}) y.push_back(in[0][r * 8 + c]);
        }
        return y;
      });
  Check(
      "side by side", {Random({3, 2}), Random({3, 4})},
      [](const Inputs& in, ExecutionContext&) {
        return ops::ConcatenateColumns(in);
      },
      [](const std::vector<Doubles>& in) {
        Doubles y;
        for (size_t r = 0; r < 3; ++r) {
          for (size_t c = 0; c < 2; ++c) y.push_back(in[0][r * 2 + c]);
          for (size_t c = 0; c < 4; ++c) y.push_back(in[1][r * 4 + c]);
        }
        return y;
      });
  Check(
      "rows, one of them twice", {Random({4, 3})},
      [](const Inputs& in, ExecutionContext&) {
        return ops::GatherRows(in[0], {2, 0, 2});
      },
      [](const std::vector<Doubles>& in) {
        Doubles y;
        for (size_t r : {2, 0, 2}) {
          for (size_t c = 0; c < 3; ++c) y.push_back(in[0][r * 3 + c]);
        }
        return y;
      });
  Check(
      "another shape", {Random({4, 6})},
      [](const Inputs& in, ExecutionContext& ctx) {
        const Tensor x = in[0].Reshaped({8, 3});
        return ops::Multiply(x, x, ctx);
      },
      [](const std::vector<Doubles>& in) {
        Doubles y;
        for (double x : in[0]) y.push_back(x * x);
        return y;
      });
}

TEST_P(GradientsTest, Experts) {
  const std::vector<std::vector<int64_t>> rows = {{0, 2}, {1}, {0, 1, 2, 3}};
  Check(
      "shares", {Random({6, 5}, 3.0f)},
      [](const Inputs& in, ExecutionContext&) {
        return ops::TopSoftmax(in[0], 2);
      },
      [](const std::vector<Doubles>& in) {
        Doubles y(30, 0.0);
        for (size_t r = 0; r < 6; ++r) {
          std::vector<size_t> order = {0, 1, 2, 3, 4};
          std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
            return in[0][r * 5 + a] > in[0][r * 5 + b];
          });
          const double a = std::exp(in[0][r * 5 + order[0]]);
          const double b = std::exp(in[0][r * 5 + order[1]]);
          y[r * 5 + order[0]] = a / (a + b);
          y[r * 5 + order[1]] = b / (a + b);
        }
        return y;
      });
  Check(
      "mixture",
      {Random({4, 3}), Random({2, 5}), Random({1, 5}), Random({4, 5})},
      [&](const Inputs& in, ExecutionContext&) {
        std::vector<ops::RowsOfColumn> parts;
        for (size_t e = 0; e < rows.size(); ++e) {
          parts.push_back({static_cast<int64_t>(e), rows[e], in[e + 1]});
        }
        return ops::MixRows(in[0], parts);
      },
      [&](const std::vector<Doubles>& in) {
        Doubles y(20, 0.0);
        for (size_t e = 0; e < rows.size(); ++e) {
          for (size_t i = 0; i < rows[e].size(); ++i) {
            const size_t r = static_cast<size_t>(rows[e][i]);
            for (size_t c = 0; c < 5; ++c) {
              y[r * 5 + c] += in[0][r * 3 + e] * in[e + 1][i * 5 + c];
            }
          }
        }
        return y;
      });
}

TEST_P(GradientsTest, StateSpaces) {
  const std::vector<int64_t> lengths = {4, 6};
  const SequenceBatch batch = SequenceBatch::Ragged(lengths);
  constexpr int64_t kChannels = 3, kStates = 2, kWidth = 4;
  Check(
      "convolution",
      {Random({10, kChannels}), Random({kChannels, kWidth}),
       Random({kChannels})},
      [&](const Inputs& in, ExecutionContext& ctx) {
        std::vector<Tensor> history(2, Tensor());
        for (Tensor& h : history) h = Tensor::Zeros({kWidth - 1, kChannels});
        return ops::CausalConv(in[0], in[1], in[2], batch,
                               absl::MakeSpan(history), ctx);
      },
      [&](const std::vector<Doubles>& in) {
        Doubles y;
        int64_t begin = 0;
        for (int64_t length : lengths) {
          for (int64_t t = 0; t < length; ++t) {
            for (int64_t c = 0; c < kChannels; ++c) {
              double sum = in[2][c];
              for (int64_t j = 0; j < kWidth; ++j) {
                const int64_t from = t - kWidth + 1 + j;
                if (from < 0) continue;
                sum += in[1][c * kWidth + j] *
                       in[0][(begin + from) * kChannels + c];
              }
              y.push_back(sum);
            }
          }
          begin += length;
        }
        return y;
      });
  Tensor dt = Random({10, kChannels}, 0.5f);
  for (float& v : dt.values()) v = std::abs(v) + 0.1f;
  Tensor a = Random({kChannels, kStates});
  for (float& v : a.values()) v = -std::abs(v) - 0.2f;
  Check(
      "scan",
      {Random({10, kChannels}), dt, a, Random({10, kStates}),
       Random({10, kStates}), Random({kChannels})},
      [&](const Inputs& in, ExecutionContext& ctx) {
        std::vector<Tensor> state(2, Tensor());
        for (Tensor& h : state) h = Tensor::Zeros({kChannels, kStates});
        return ops::SelectiveScan(in[0], in[1], in[2], in[3], in[4], in[5],
                                  batch, absl::MakeSpan(state), ctx);
      },
      [&](const std::vector<Doubles>& in) {
        Doubles y;
        int64_t begin = 0;
        for (int64_t length : lengths) {
          Doubles h(kChannels * kStates, 0.0);
          for (int64_t t = begin; t < begin + length; ++t) {
            for (int64_t c = 0; c < kChannels; ++c) {
              const double u = in[0][t * kChannels + c];
              const double step = in[1][t * kChannels + c];
              double sum = in[5][c] * u;
              for (int64_t n = 0; n < kStates; ++n) {
                double& state = h[c * kStates + n];
                state = std::exp(step * in[2][c * kStates + n]) * state +
                        step * in[3][t * kStates + n] * u;
                sum += in[4][t * kStates + n] * state;
              }
              y.push_back(sum);
            }
          }
          begin += length;
        }
        return y;
      });
}

TEST_P(GradientsTest, Losses) {
  const std::vector<int32_t> targets = {3, 0, 16, 7};
  const auto log_softmax = [](const Doubles& z, size_t row,
                              double temperature) {
    double sum = 0;
    for (size_t c = 0; c < 17; ++c)
      sum += std::exp(z[row * 17 + c] / temperature);
    Doubles result;
    for (size_t c = 0; c < 17; ++c) {
      result.push_back(z[row * 17 + c] / temperature - std::log(sum));
    }
    return result;
  };
  Check(
      "negative log-likelihood", {Random({4, 17}, 4.0f)},
      [&](const Inputs& in, ExecutionContext& ctx) {
        return ops::NegativeLogLikelihood(in[0], targets, ctx);
      },
      [&](const std::vector<Doubles>& in) {
        Doubles y;
        for (size_t r = 0; r < 4; ++r) {
          y.push_back(-log_softmax(in[0], r, 1)[targets[r]]);
        }
        return y;
      });
  const Tensor teacher = Random({4, 17}, 4.0f);
  for (double temperature : {1.0, 2.5}) {
    Check(
        "distillation", {Random({4, 17}, 4.0f)},
        [&](const Inputs& in, ExecutionContext& ctx) {
          return ops::KlDivergence(teacher, in[0],
                                   static_cast<float>(temperature), ctx);
        },
        [&](const std::vector<Doubles>& in) {
          Doubles y;
          for (size_t r = 0; r < 4; ++r) {
            const Doubles p = log_softmax(ToDoubles(teacher), r, temperature);
            const Doubles q = log_softmax(in[0], r, temperature);
            double kl = 0;
            for (size_t c = 0; c < 17; ++c)
              kl += std::exp(p[c]) * (p[c] - q[c]);
            y.push_back(kl);
          }
          return y;
        });
  }
  const Tensor target = Random({4, 6});
  Check(
      "reconstruction", {Random({4, 6})},
      [&](const Inputs& in, ExecutionContext&) {
        return ops::SquaredError(in[0], target);
      },
      [&](const std::vector<Doubles>& in) {
        Doubles y(4, 0.0);
        for (size_t i = 0; i < 24; ++i) {
          y[i / 6] += std::pow(in[0][i] - target.data()[i], 2);
        }
        return y;
      });
  Check(
      "absolute", {Random({4, 6})},
      [&](const Inputs& in, ExecutionContext&) {
        return ops::AbsoluteError(in[0], target);
      },
      [&](const std::vector<Doubles>& in) {
        Doubles y(4, 0.0);
        for (size_t i = 0; i < 24; ++i) {
          y[i / 6] += std::abs(in[0][i] - target.data()[i]);
        }
        return y;
      });
  Check(
      "cosine", {Random({4, 6})},
      [&](const Inputs& in, ExecutionContext&) {
        return ops::CosineDistance(in[0], target);
      },
      [&](const std::vector<Doubles>& in) {
        Doubles y;
        for (size_t r = 0; r < 4; ++r) {
          double dot = 0, xx = 0, tt = 0;
          for (size_t i = 6 * r; i < 6 * r + 6; ++i) {
            const double t = target.data()[i];
            dot += in[0][i] * t;
            xx += in[0][i] * in[0][i];
            tt += t * t;
          }
          y.push_back(1 - dot / std::sqrt(xx * tt));
        }
        return y;
      });
}

INSTANTIATE_TEST_SUITE_P(Devices, GradientsTest, testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "cpu" : "reference";
                         });

}  // namespace
}  // namespace quantd
