// Gradients through whole blocks: one Llama and one OPT block against central
// differences, in float64, of a block put together from oracles; and every
// family against differences along a direction.
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "models/model.h"
#include "models/network/tensor_loader.h"
#include "tensor/gradient_tape.h"
#include "tests/tensor/gradient_oracles.h"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::AttentionOracle;
using ::quantd::test::AttentionOracleOptions;
using ::quantd::test::Doubles;
using ::quantd::test::IsOk;
using ::quantd::test::LinearOracle;
using ::quantd::test::NormOracle;
using ::quantd::test::RotaryOracle;

constexpr int64_t kHidden = 64;

Tensor Random(Shape shape, uint64_t seed) {
  std::mt19937_64 engine(seed);
  Tensor t = Tensor::Uninitialized(std::move(shape));
  for (float& v : t.values()) {
    v = static_cast<float>(static_cast<double>(engine() >> 11) * 0x1p-52 - 1);
  }
  return t;
}

Doubles ToDoubles(const Tensor& t) {
  return {t.values().begin(), t.values().end()};
}

// Parameters of a block by the last parts of their names, and its input "x".
using Parameters = std::map<std::string, Doubles>;

AttentionOracleOptions AttentionOf(int64_t kv_heads) {
  AttentionOracleOptions o;
  o.heads = 4;
  o.kv_heads = kv_heads;
  o.head_dim = 16;
  o.scale = 0.25;
  o.lengths = {5, 4};
  return o;
}

Doubles Sum(Doubles a, const Doubles& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] += b[i % b.size()];
  return a;
}

Doubles LlamaBlock(const Parameters& p) {
  const std::vector<int> positions = {0, 1, 2, 3, 4, 0, 1, 2, 3};
  const Doubles& x = p.at("x");
  const auto linear = [&](const std::string& name, const Doubles& in,
                          int64_t width) {
    return LinearOracle(in, p.at(name), width);
  };
  const auto rotate = [&](const Doubles& in) {
    return RotaryOracle(in, positions, 16, 16, false, 10000.0);
  };
  const Doubles n =
      NormOracle(x, p.at("input_layernorm.weight"), {}, 1e-6, kHidden, false);
  const Doubles mixed =
      AttentionOracle(rotate(linear("self_attn.q_proj", n, kHidden)),
                      rotate(linear("self_attn.k_proj", n, kHidden)),
                      linear("self_attn.v_proj", n, kHidden), AttentionOf(2));
  const Doubles middle = Sum(x, linear("self_attn.o_proj", mixed, kHidden));
  const Doubles m = NormOracle(middle, p.at("post_attention_layernorm.weight"),
                               {}, 1e-6, kHidden, false);
  Doubles inner = linear("mlp.gate_proj", m, kHidden);
  const Doubles up = linear("mlp.up_proj", m, kHidden);
  for (size_t i = 0; i < inner.size(); ++i) {
    inner[i] *= up[i] / (1 + std::exp(-inner[i]));
  }
  return Sum(middle, linear("mlp.down_proj", inner, 160));
}

Doubles OptBlock(const Parameters& p) {
  const Doubles& x = p.at("x");
  const auto linear = [&](const std::string& name, const Doubles& in,
                          int64_t width) {
    return Sum(LinearOracle(in, p.at(name), width), p.at(name + ".bias"));
  };
  const auto norm = [&](const std::string& name, const Doubles& in) {
    return NormOracle(in, p.at(name + ".weight"), p.at(name + ".bias"), 1e-5,
                      kHidden, true);
  };
  const Doubles n = norm("self_attn_layer_norm", x);
  const Doubles mixed =
      AttentionOracle(linear("self_attn.q_proj", n, kHidden),
                      linear("self_attn.k_proj", n, kHidden),
                      linear("self_attn.v_proj", n, kHidden), AttentionOf(4));
  const Doubles middle = Sum(x, linear("self_attn.out_proj", mixed, kHidden));
  Doubles inner = linear("fc1", norm("final_layer_norm", middle), kHidden);
  for (double& v : inner) v = std::max(v, 0.0);
  return Sum(middle, linear("fc2", inner, 160));
}

class BlockGradientsTest : public testing::Test {
 protected:
  // False, and a skipped test, where the fixture is absent.
  bool Open(const std::string& fixture) {
    const std::string directory = SharedPath("fixtures/" + fixture);
    if (!std::filesystem::exists(directory)) return false;
    auto checkpoint = Checkpoint::Open(directory);
    EXPECT_THAT(checkpoint.status(), IsOk());
    checkpoint_ = *std::move(checkpoint);
    auto model = Model::Open(checkpoint_);
    EXPECT_THAT(model.status(), IsOk());
    model_ = *std::move(model);
    auto block = model_->LoadBlock(0, ctx_);
    EXPECT_THAT(block.status(), IsOk());
    block_ = *std::move(block);
    return true;
  }

  // The block's output with all weights watched; `weights` are those.
  Tensor Run(GradientTape& tape, const Tensor& x,
             std::vector<Tensor>* weights) {
    for (Linear& linear : block_->linears()) {
      weights->push_back(tape.Watch(linear.weight()));
      linear.SetWeight(weights->back());
    }
    const std::vector<int64_t> lengths = {5, 4};
    auto y = block_->Forward(x, SequenceBatch::Ragged(lengths), ctx_);
    EXPECT_THAT(y.status(), IsOk());
    for (size_t i = 0; i < weights->size(); ++i) {
      block_->linears()[i].SetWeight((*weights)[i].Untracked());
    }
    return *y;
  }

  void CheckAgainst(const std::function<Doubles(const Parameters&)>& oracle,
                    const std::vector<std::string>& others) {
    const Tensor x = Random({9, kHidden}, 3);
    Parameters parameters = {{"x", ToDoubles(x)}};
    const std::string prefix = block_->name() + ".";
    for (const Linear& linear : block_->linears()) {
      parameters[linear.name().substr(prefix.size())] =
          ToDoubles(linear.weight());
    }
    for (const std::string& name : others) {
      ASSERT_OK_AND_ASSIGN(const StoredTensor* stored,
                           checkpoint_->Find(prefix + name));
      ASSERT_OK_AND_ASSIGN(
          const Tensor value,
          LoadTensor(*checkpoint_, prefix + name, stored->shape));
      parameters[name] = ToDoubles(value);
    }

    GradientTape tape(ctx_);
    std::vector<Tensor> weights;
    const Tensor watched = tape.Watch(x);
    const Tensor y = Run(tape, watched, &weights);
    const Doubles expected = oracle(parameters);
    ASSERT_EQ(static_cast<size_t>(y.size()), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(y.data()[i], expected[i], 1e-5);
    }
    const Tensor seed = Random(y.shape(), 4);
    ASSERT_THAT(tape.Backward({{y, seed}}), IsOk());

    std::map<std::string, Tensor> gradients = {{"x", tape.Gradient(watched)}};
    for (size_t i = 0; i < weights.size(); ++i) {
      gradients[block_->linears()[i].name().substr(prefix.size())] =
          tape.Gradient(weights[i]);
    }
    std::mt19937_64 engine(5);
    for (const auto& [name, gradient] : gradients) {
      double largest = 0, difference = 0;
      for (int sample = 0; sample < 40; ++sample) {
        const size_t i = engine() % static_cast<uint64_t>(gradient.size());
        const auto at = [&](double step) {
          Parameters moved = parameters;
          moved[name][i] += step;
          const Doubles out = oracle(moved);
          double sum = 0;
          for (size_t j = 0; j < out.size(); ++j) {
            sum += seed.data()[j] * out[j];
          }
          return sum;
        };
        const double numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
        largest = std::max(largest, std::abs(numeric));
        difference =
            std::max(difference, std::abs(numeric - gradient.data()[i]));
      }
      EXPECT_LE(difference, 1e-4 * largest) << name;
      EXPECT_GT(largest, 0) << name;
    }
  }

  const std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Block> block_;
};

TEST_F(BlockGradientsTest, LlamaEqualsAnIndependentDerivation) {
  if (!Open("llama")) GTEST_SKIP() << "the shared fixtures are not there";
  CheckAgainst(LlamaBlock,
               {"input_layernorm.weight", "post_attention_layernorm.weight"});
}

TEST_F(BlockGradientsTest, OptEqualsAnIndependentDerivation) {
  if (!Open("opt")) GTEST_SKIP() << "the shared fixtures are not there";
  CheckAgainst(OptBlock,
               {"self_attn_layer_norm.weight", "self_attn_layer_norm.bias",
                "final_layer_norm.weight", "final_layer_norm.bias",
                "self_attn.q_proj.bias", "self_attn.k_proj.bias",
                "self_attn.v_proj.bias", "self_attn.out_proj.bias", "fc1.bias",
                "fc2.bias"});
}

class FamilyGradientsTest : public BlockGradientsTest,
                            public testing::WithParamInterface<const char*> {};

// Along the gradient itself the scalar grows by the gradient's square: a layer
// that an operation cut off would be missed in float32 noise otherwise.
TEST_P(FamilyGradientsTest, GradientsOfEveryLayerAreDerivatives) {
  if (!Open(GetParam())) GTEST_SKIP() << "the shared fixtures are not there";
  const Tensor x = Random({9, kHidden}, 3);
  GradientTape tape(ctx_);
  std::vector<Tensor> weights;
  const Tensor watched = tape.Watch(x);
  const Tensor y = Run(tape, watched, &weights);
  const Tensor seed = Random(y.shape(), 4);
  ASSERT_THAT(tape.Backward({{y, seed}}), IsOk());

  // The scalar when `tensor` moves by `step` along `direction`.
  const auto moved = [](const Tensor& tensor, const Tensor& direction,
                        double step) {
    Tensor result = tensor.Clone();
    for (int64_t i = 0; i < result.size(); ++i) {
      result.data()[i] += static_cast<float>(step * direction.data()[i]);
    }
    return result;
  };
  const auto scalar = [&](const Tensor& input) {
    const std::vector<int64_t> lengths = {5, 4};
    const auto out =
        block_->Forward(input, SequenceBatch::Ragged(lengths), ctx_);
    double sum = 0;
    for (int64_t i = 0; i < out->size(); ++i) {
      sum += static_cast<double>(seed.data()[i]) * out->data()[i];
    }
    return sum;
  };
  const auto square = [](const Tensor& g) {
    double sum = 0;
    for (float v : g.values()) sum += static_cast<double>(v) * v;
    return sum;
  };
  const auto check = [&](const std::string& name, const Tensor& gradient,
                         const std::function<double(double)>& at) {
    const double slope = square(gradient);
    ASSERT_GT(slope, 0) << name;
    // A move of about a thousandth of a unit-sized tensor.
    const double step = 2e-3 / std::sqrt(slope);
    EXPECT_NEAR((at(step) - at(-step)) / (2 * step), slope, 0.03 * slope)
        << name;
  };
  const Tensor dx = tape.Gradient(watched);
  check("x", dx, [&](double step) { return scalar(moved(x, dx, step)); });
  for (size_t i = 0; i < weights.size(); ++i) {
    Linear& linear = block_->linears()[i];
    const Tensor original = linear.weight();
    const Tensor gradient = tape.Gradient(weights[i]);
    // An expert that no token chose has none.
    if (square(gradient) == 0 && std::string(GetParam()) == "mixtral") continue;
    check(linear.name(), gradient, [&](double step) {
      linear.SetWeight(moved(original, gradient, step));
      return scalar(x);
    });
    linear.SetWeight(original);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Families, FamilyGradientsTest,
    testing::Values("bert", "bloom", "falcon40b", "falcon7b", "gemma", "gemma2",
                    "gpt2", "gpt_neox", "gptj", "llama", "llama3", "mamba",
                    "mistral", "mixtral", "mpt", "opt", "opt_postnorm", "phi",
                    "phi3", "qwen2", "stablelm", "starcoder2"),
    [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace quantd
