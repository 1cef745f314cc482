// Gradients of the loss against finite differences of the loss itself in
// float64, and the pass over blocks that makes them.
#include "quantizers/weight_sensitivity.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "models/model.h"
#include "tests/models/block_oracles.h"
#include "tests/quantizers/tiny_network.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::Doubles;
using ::quantd::test::IsOk;
using ::quantd::test::StatusIs;
using ::testing::_;
using ::testing::ElementsAreArray;
using Measure = SensitivityRequest::Measure;

constexpr int64_t kWindowTokens = 24;

class WeightSensitivityTest : public test::TinyNetworkTest {
 protected:
  void SetUp() override {
    TinyNetworkTest::SetUp();
    DrawCalibration(5, kWindowTokens);
  }

  absl::Status Compute(const std::string& name, Measure measure,
                       int64_t windows, uint64_t memory = UINT64_MAX) {
    SensitivityRequest request;
    request.measure = measure;
    request.windows = windows;
    double last = 0;
    return At(name).Compute(
        *model_, windows_, request, memory,
        [&last](double share) {
          EXPECT_GT(share, last);
          EXPECT_LE(share, 1 + 1e-9);
          last = share;
        },
        ctx_);
  }

  WeightSensitivity At(const std::string& name) {
    return WeightSensitivity(workspaces_.path() + "/" + name);
  }

  Doubles Load(const std::string& name) {
    const auto stored = checkpoint_->Find(name);
    EXPECT_THAT(stored.status(), IsOk());
    const auto value = checkpoint_->LoadFloat(name, (*stored)->shape);
    EXPECT_THAT(value.status(), IsOk());
    return test::ToDoubles(*value);
  }
};

// The tiny model in float64, put together from oracles: the loss of a window as
// a function of its weights.
class LossOracle {
 public:
  using Loader = std::function<Doubles(const std::string& name)>;

  LossOracle(const Model& model, const Loader& load,
             absl::Span<const int32_t> tokens)
      : tokens_(tokens.begin(), tokens.end()) {
    const ModelDescription& d = model.description();
    shape_.hidden = d.hidden_size;
    shape_.intermediate = d.block.feed_forward.intermediate_size;
    shape_.heads = d.block.attention.heads;
    shape_.kv_heads = d.block.attention.kv_heads;
    shape_.epsilon = 1e-5;
    shape_.lengths = {static_cast<int64_t>(tokens.size())};
    const Doubles embedding = load("model.embed_tokens.weight");
    for (const int32_t token : tokens) {
      const auto row = embedding.begin() + token * shape_.hidden;
      embedded_.insert(embedded_.end(), row, row + shape_.hidden);
    }
    for (int k = 0; k < d.blocks; ++k) {
      const std::string prefix = absl::StrCat("model.layers.", k, ".");
      test::BlockParameters& block = blocks_.emplace_back();
      for (const char* norm : {"input_layernorm", "post_attention_layernorm"}) {
        const std::string name = absl::StrCat(norm, ".weight");
        block[name] = load(prefix + name);
      }
      for (const char* linear :
           {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
            "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
            "mlp.down_proj"}) {
        block[linear] = load(absl::StrCat(prefix, linear, ".weight"));
      }
    }
    final_norm_ = load("model.norm.weight");
    head_ = load("lm_head.weight");
  }

  // The derivative of the mean negative log-likelihood by element `index` of
  // linear layer `linear` of block `k`, by a central difference.
  double Slope(size_t k, const std::string& linear, size_t index) {
    constexpr double kStep = 1e-4;
    double& w = blocks_[k].at(linear)[index];
    const double at = w;
    const auto loss = [&](double step) {
      w = at + step;
      return Loss();
    };
    const double slope = (loss(kStep) - loss(-kStep)) / (2 * kStep);
    w = at;
    return slope;
  }

 private:
  double Loss() const {
    Doubles hidden = embedded_;
    for (const test::BlockParameters& block : blocks_) {
      hidden = test::LlamaBlockOracle(hidden, block, shape_);
    }
    hidden = test::NormOracle(hidden, final_norm_, {}, shape_.epsilon,
                              shape_.hidden, false);
    const Doubles logits = test::LinearOracle(hidden, head_, shape_.hidden);
    const size_t vocabulary = logits.size() / tokens_.size();
    double sum = 0;
    for (size_t t = 0; t + 1 < tokens_.size(); ++t) {
      const double* const row = &logits[t * vocabulary];
      double total = 0;
      for (size_t c = 0; c < vocabulary; ++c) total += std::exp(row[c]);
      sum += std::log(total) - row[tokens_[t + 1]];
    }
    return sum / static_cast<double>(tokens_.size() - 1);
  }

  const std::vector<int32_t> tokens_;
  test::BlockOracleShape shape_;
  Doubles embedded_;  // [tokens, hidden]
  std::vector<test::BlockParameters> blocks_;
  Doubles final_norm_;
  Doubles head_;
};

// Of every weight that is tried, to a thousandth of itself; only what lies
// below the precision of float32 sums may be wrong.
TEST_F(WeightSensitivityTest, IsTheSlopeOfTheLoss) {
  ASSERT_THAT(Compute("one", Measure::kAbsolutes, 1), IsOk());
  LossOracle oracle(
      *model_, [this](const std::string& name) { return Load(name); },
      windows_.Window(0));
  std::mt19937_64 engine(4);
  int small = 0;
  for (int k = 0; k < model_->block_count(); ++k) {
    ASSERT_OK_AND_ASSIGN(const auto found, At("one").Read(k));
    const auto block = *model_->LoadBlock(k, ctx_);
    ASSERT_EQ(found.size(), block->linears().size());
    for (const Linear& linear : block->linears()) {
      const Tensor& g = found.at(linear.name());
      ASSERT_EQ(g.shape(), linear.weight().shape());
      const float largest =
          *std::max_element(g.values().begin(), g.values().end());
      const std::string inside = linear.name().substr(block->name().size() + 1);
      for (int trial = 0; trial < 20; ++trial) {
        const size_t i = engine() % static_cast<uint64_t>(g.size());
        const double slope =
            std::abs(oracle.Slope(static_cast<size_t>(k), inside, i));
        EXPECT_NEAR(g.data()[i], slope, 1e-3 * slope + 3e-6 * largest)
            << linear.name() << " " << i;
        small += slope < 1e-2 * largest;
      }
    }
  }
  EXPECT_GT(small, 10) << "what a share of the largest would not see";
}

// The gradient of each window is squared before they are summed.
TEST_F(WeightSensitivityTest, SquaresAreThoseOfSingleWindows) {
  ASSERT_THAT(Compute("all", Measure::kSquares, 0), IsOk());
  const CalibrationWindows all = windows_;
  std::map<std::string, std::vector<double>> expected;
  for (int64_t w = 0; w < all.count(); ++w) {
    windows_.tokens.assign(all.tokens.begin() + w * kWindowTokens,
                           all.tokens.begin() + (w + 1) * kWindowTokens);
    const std::string name = "window" + std::to_string(w);
    ASSERT_THAT(Compute(name, Measure::kAbsolutes, 0), IsOk());
    ASSERT_OK_AND_ASSIGN(const auto one, At(name).Read(1));
    for (const auto& [layer, g] : one) {
      auto& sum = expected[layer];
      sum.resize(static_cast<size_t>(g.size()), 0.0);
      for (size_t i = 0; i < sum.size(); ++i) {
        sum[i] += std::pow(double{g.data()[i]}, 2);
      }
    }
  }
  ASSERT_OK_AND_ASSIGN(const auto squares, At("all").Read(1));
  for (const auto& [layer, found] : squares) {
    for (size_t i = 0; i < expected.at(layer).size(); ++i) {
      const double mean =
          expected.at(layer)[i] / static_cast<double>(all.count());
      ASSERT_NEAR(found.data()[i], mean, 1e-5 * mean + 1e-12);
    }
  }
}

TEST_F(WeightSensitivityTest, MemoryBoundsWhatIsKeptAndNotTheResult) {
  ASSERT_THAT(Compute("free", Measure::kSquares, 0), IsOk());
  // One window at a time.
  ASSERT_THAT(Compute("bound", Measure::kSquares, 0, 1), IsOk());
  for (int k = 0; k < model_->block_count(); ++k) {
    ASSERT_OK_AND_ASSIGN(const auto free, At("free").Read(k));
    ASSERT_OK_AND_ASSIGN(const auto bound, At("bound").Read(k));
    for (const auto& [layer, g] : free) {
      for (int64_t i = 0; i < g.size(); ++i) {
        ASSERT_NEAR(bound.at(layer).data()[i], g.data()[i], 1e-5 * g.data()[i]);
      }
    }
  }
}

TEST_F(WeightSensitivityTest, IsCompleteWhenAllIsThere) {
  EXPECT_FALSE(At("x").complete());
  ctx_.RequestCancel();
  EXPECT_THAT(Compute("x", Measure::kSquares, 0),
              StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_FALSE(At("x").complete());
  windows_.tokens.clear();
  EXPECT_THAT(Compute("x", Measure::kSquares, 0),
              StatusIs(absl::StatusCode::kNotFound, _));
}

}  // namespace
}  // namespace quantd
