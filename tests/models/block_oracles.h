// Whole blocks in float64, put together from oracles of their operations and
// without a line of the library.
#ifndef QUANTD_TESTS_MODELS_BLOCK_ORACLES_H_
#define QUANTD_TESTS_MODELS_BLOCK_ORACLES_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tensor/tensor.h"
#include "tests/tensor/gradient_oracles.h"

namespace quantd::test {

// Parameters of a block by their names inside it, those of linear layers
// without ".weight".
using BlockParameters = std::map<std::string, Doubles>;

struct BlockOracleShape {
  int64_t hidden = 0;
  int64_t intermediate = 0;
  int64_t heads = 1;
  int64_t kv_heads = 1;
  double epsilon = 0;            // of the norms
  std::vector<int64_t> lengths;  // of the sequences, one after the other

  AttentionOracleOptions attention() const {
    AttentionOracleOptions o;
    o.heads = heads;
    o.kv_heads = kv_heads;
    o.head_dim = hidden / heads;
    o.scale = 1 / std::sqrt(static_cast<double>(o.head_dim));
    o.lengths = lengths;
    return o;
  }
};

inline Doubles ToDoubles(const Tensor& t) {
  return {t.values().begin(), t.values().end()};
}

// `b` is repeated.
inline Doubles SumOracle(Doubles a, const Doubles& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] += b[i % b.size()];
  return a;
}

inline Doubles LlamaBlockOracle(const Doubles& x, const BlockParameters& p,
                                const BlockOracleShape& shape) {
  const int64_t width = shape.hidden;
  const int64_t head_dim = width / shape.heads;
  std::vector<int> positions;
  for (const int64_t length : shape.lengths) {
    for (int t = 0; t < length; ++t) positions.push_back(t);
  }
  const auto linear = [&](const std::string& name, const Doubles& in) {
    return LinearOracle(in, p.at(name), width);
  };
  const auto rotate = [&](const Doubles& in) {
    return RotaryOracle(in, positions, head_dim, head_dim, false, 10000.0);
  };
  const auto norm = [&](const std::string& name, const Doubles& in) {
    return NormOracle(in, p.at(name + ".weight"), {}, shape.epsilon, width,
                      false);
  };
  const Doubles n = norm("input_layernorm", x);
  const Doubles mixed =
      AttentionOracle(rotate(linear("self_attn.q_proj", n)),
                      rotate(linear("self_attn.k_proj", n)),
                      linear("self_attn.v_proj", n), shape.attention());
  const Doubles middle = SumOracle(x, linear("self_attn.o_proj", mixed));
  const Doubles m = norm("post_attention_layernorm", middle);
  Doubles inner = linear("mlp.gate_proj", m);
  const Doubles up = linear("mlp.up_proj", m);
  for (size_t i = 0; i < inner.size(); ++i) {
    inner[i] *= up[i] * SigmoidOracle(inner[i]);
  }
  return SumOracle(
      middle, LinearOracle(inner, p.at("mlp.down_proj"), shape.intermediate));
}

inline Doubles OptBlockOracle(const Doubles& x, const BlockParameters& p,
                              const BlockOracleShape& shape) {
  const auto linear = [&](const std::string& name, const Doubles& in,
                          int64_t width) {
    return SumOracle(LinearOracle(in, p.at(name), width), p.at(name + ".bias"));
  };
  const auto norm = [&](const std::string& name, const Doubles& in) {
    return NormOracle(in, p.at(name + ".weight"), p.at(name + ".bias"),
                      shape.epsilon, shape.hidden, true);
  };
  const Doubles n = norm("self_attn_layer_norm", x);
  const Doubles mixed = AttentionOracle(
      linear("self_attn.q_proj", n, shape.hidden),
      linear("self_attn.k_proj", n, shape.hidden),
      linear("self_attn.v_proj", n, shape.hidden), shape.attention());
  const Doubles middle =
      SumOracle(x, linear("self_attn.out_proj", mixed, shape.hidden));
  Doubles inner = linear("fc1", norm("final_layer_norm", middle), shape.hidden);
  for (double& v : inner) v = std::max(v, 0.0);
  return SumOracle(middle, linear("fc2", inner, shape.intermediate));
}

}  // namespace quantd::test

#endif  // QUANTD_TESTS_MODELS_BLOCK_ORACLES_H_
