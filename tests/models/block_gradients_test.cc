// Gradients through whole blocks: of Llama and OPT blocks against central
// differences, in float64, of a block put together from oracles; and of every
// family against differences along a direction. Everything is watched that can
// be: inputs, linear weights, norms, biases.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "models/model.h"
#include "tensor/gradient_tape.h"
#include "tests/models/block_oracles.h"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::BlockOracleShape;
using ::quantd::test::BlockParameters;
using ::quantd::test::Doubles;
using ::quantd::test::IsOk;
using ::quantd::test::ToDoubles;

Tensor Random(Shape shape, uint64_t seed) {
  std::mt19937_64 engine(seed);
  Tensor t = Tensor::Uninitialized(std::move(shape));
  for (float& v : t.values()) {
    v = static_cast<float>(static_cast<double>(engine() >> 11) * 0x1p-52 - 1);
  }
  return t;
}

// A bias of keys changes all scores of a query alike, which softmax does not
// see, unless positions turn the keys afterwards.
bool HasNoEffect(const std::string& fixture, const std::string& parameter) {
  const bool of_keys = absl::EndsWith(parameter, ".k_proj.bias") ||
                       absl::EndsWith(parameter, ".key.bias");
  return of_keys && (absl::StrContains(fixture, "opt") || fixture == "bert");
}

class BlockGradientsTest : public testing::Test {
 protected:
  static constexpr int64_t kRows = 9;
  const std::vector<int64_t> lengths_ = {5, 4};

  void OpenAt(const std::string& directory) {
    block_.reset();
    auto checkpoint = Checkpoint::Open(directory);
    ASSERT_THAT(checkpoint.status(), IsOk());
    auto model = Model::Open(*std::move(checkpoint));
    ASSERT_THAT(model.status(), IsOk());
    model_ = *std::move(model);
    auto block = model_->LoadBlock(0, ctx_);
    ASSERT_THAT(block.status(), IsOk());
    block_ = *std::move(block);
  }

  // False where the fixture is absent.
  bool OpenFixture(const std::string& fixture) {
    const std::string directory = SharedPath("fixtures/" + fixture);
    if (!std::filesystem::exists(directory)) return false;
    OpenAt(directory);
    return true;
  }

  int64_t hidden() const { return model_->description().hidden_size; }

  Tensor Forward(const Tensor& x) {
    auto y = block_->Forward(x, SequenceBatch::Ragged(lengths_), ctx_);
    EXPECT_THAT(y.status(), IsOk());
    return *y;
  }

  // The block's output with everything watched that can be replaced; `weights`
  // are those of linears(), `others` SmallParameters().
  Tensor Run(GradientTape& tape, const Tensor& x, std::vector<Tensor>* weights,
             std::vector<Tensor>* others) {
    for (Linear& linear : block_->linears()) {
      weights->push_back(tape.Watch(linear.weight()));
      linear.SetWeight(weights->back());
    }
    const std::vector<NamedParameter> small = block_->SmallParameters();
    for (const NamedParameter& parameter : small) {
      others->push_back(tape.Watch(*parameter.value));
      *parameter.value = others->back();
    }
    const Tensor y = Forward(x);
    for (size_t i = 0; i < weights->size(); ++i) {
      block_->linears()[i].SetWeight((*weights)[i].Untracked());
    }
    for (size_t i = 0; i < small.size(); ++i) {
      *small[i].value = (*others)[i].Untracked();
    }
    return y;
  }

  const std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
  std::unique_ptr<Model> model_;
  std::unique_ptr<Block> block_;
};

// Of every element alone, against central differences of an oracle.
class OracleGradientsTest : public BlockGradientsTest {
 protected:
  using Oracle = std::function<Doubles(const Doubles& x, const BlockParameters&,
                                       const BlockOracleShape&)>;

  // `count` small parameters; those of `family` have an effect or not.
  void CheckAgainst(const Oracle& oracle, const std::string& family,
                    double epsilon, size_t count) {
    const ModelDescription& d = model_->description();
    BlockOracleShape shape;
    shape.hidden = d.hidden_size;
    shape.intermediate = d.block.feed_forward.intermediate_size;
    shape.heads = d.block.attention.heads;
    shape.kv_heads = d.block.attention.kv_heads;
    shape.epsilon = epsilon;
    shape.lengths = lengths_;

    const Tensor x = Random({kRows, hidden()}, 3);
    GradientTape tape(ctx_);
    std::vector<Tensor> weights, others;
    const Tensor watched = tape.Watch(x);
    const Tensor y = Run(tape, watched, &weights, &others);
    const Tensor seed = Random(y.shape(), 4);
    ASSERT_THAT(tape.Backward({{y, seed}}), IsOk());

    // "x" is the input.
    BlockParameters parameters = {{"x", ToDoubles(x)}};
    std::map<std::string, Tensor> gradients = {{"x", tape.Gradient(watched)}};
    const std::string prefix = block_->name() + ".";
    for (size_t i = 0; i < weights.size(); ++i) {
      const Linear& linear = block_->linears()[i];
      const std::string name = linear.name().substr(prefix.size());
      parameters[name] = ToDoubles(linear.weight());
      gradients[name] = tape.Gradient(weights[i]);
    }
    const std::vector<NamedParameter> small = block_->SmallParameters();
    EXPECT_EQ(small.size(), count);
    for (size_t i = 0; i < small.size(); ++i) {
      const std::string name = small[i].name.substr(prefix.size());
      parameters[name] = ToDoubles(*small[i].value);
      gradients[name] = tape.Gradient(others[i]);
    }
    const auto run = [&](const BlockParameters& p) {
      return oracle(p.at("x"), p, shape);
    };
    const Doubles expected = run(parameters);
    ASSERT_EQ(static_cast<size_t>(y.size()), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(y.data()[i], expected[i], 1e-5);
    }

    std::mt19937_64 engine(5);
    for (const auto& [name, gradient] : gradients) {
      double largest = 0, difference = 0;
      for (int sample = 0; sample < 40; ++sample) {
        const size_t i = engine() % static_cast<uint64_t>(gradient.size());
        const auto at = [&, &name = name](double step) {
          BlockParameters moved = parameters;
          moved[name][i] += step;
          const Doubles out = run(moved);
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
      if (HasNoEffect(family, prefix + name)) {
        EXPECT_LE(largest, 1e-8) << name;
        EXPECT_LE(difference, 1e-5) << name;
        continue;
      }
      EXPECT_LE(difference, 1e-4 * largest) << name;
      EXPECT_GT(largest, 0) << name;
    }
  }
};

TEST_F(OracleGradientsTest, LlamaEqualsAnIndependentDerivation) {
  test::TempDir directory;
  test::WriteTinyModel(directory.path());
  OpenAt(directory.path());
  CheckAgainst(test::LlamaBlockOracle, "llama", 1e-5, 2);
}

TEST_F(OracleGradientsTest, OptEqualsAnIndependentDerivation) {
  test::TempDir directory;
  test::WriteTinyOpt(directory.path());
  OpenAt(directory.path());
  CheckAgainst(test::OptBlockOracle, "opt", 1e-5, 10);
}

TEST_F(OracleGradientsTest, FixturesEqualAnIndependentDerivation) {
  if (!OpenFixture("llama"))
    GTEST_SKIP() << "the shared fixtures are not there";
  CheckAgainst(test::LlamaBlockOracle, "llama", 1e-6, 2);
  ASSERT_TRUE(OpenFixture("opt"));
  CheckAgainst(test::OptBlockOracle, "opt", 1e-5, 10);
}

// Along the gradient itself the scalar grows by the gradient's square: a layer
// that an operation cut off would be missed in float32 noise otherwise.
class FamilyGradientsTest : public BlockGradientsTest,
                            public testing::WithParamInterface<const char*> {};

TEST_P(FamilyGradientsTest, GradientsOfEveryLayerAreDerivatives) {
  if (!OpenFixture(GetParam())) {
    GTEST_SKIP() << "the shared fixtures are not there";
  }
  const Tensor x = Random({kRows, hidden()}, 3);
  GradientTape tape(ctx_);
  std::vector<Tensor> weights, others;
  const Tensor watched = tape.Watch(x);
  const Tensor y = Run(tape, watched, &weights, &others);
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
    const Tensor out = Forward(input);
    double sum = 0;
    for (int64_t i = 0; i < out.size(); ++i) {
      sum += static_cast<double>(seed.data()[i]) * out.data()[i];
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
  const std::vector<NamedParameter> small = block_->SmallParameters();
  EXPECT_FALSE(small.empty());
  for (size_t i = 0; i < small.size(); ++i) {
    const Tensor gradient = tape.Gradient(others[i]);
    if (HasNoEffect(GetParam(), small[i].name)) {
      EXPECT_LT(square(gradient), 1e-8) << small[i].name;
      continue;
    }
    const Tensor original = *small[i].value;
    check(small[i].name, gradient, [&](double step) {
      *small[i].value = moved(original, gradient, step);
      return scalar(x);
    });
    *small[i].value = original;
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
