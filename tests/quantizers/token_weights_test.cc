#include "quantizers/token_weights.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <vector>

#include "gmock/gmock.h"
#include "models/model.h"
#include "quantizers/calibration.h"
#include "quantizers/set_statistics.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::FloatNear;

constexpr int64_t kWindow = 16;
constexpr int64_t kWindows = 6;

class TokenWeightsTest : public testing::Test {
 protected:
  void SetUp() override {
    test::WriteTinyModel(directory_.path());
    ASSERT_OK_AND_ASSIGN(auto checkpoint, Checkpoint::Open(directory_.path()));
    ASSERT_OK_AND_ASSIGN(model_, Model::Open(checkpoint));
    ASSERT_OK_AND_ASSIGN(block_, model_->LoadBlock(0, ctx_));
    ASSERT_OK_AND_ASSIGN(hidden_,
                         ActivationStore::Create(kWindows * kWindow, 32, {}));
    std::vector<int32_t> tokens;
    for (int i = 0; i < kWindows * kWindow; ++i) {
      tokens.push_back((i * i + 3 * i) % 251);
    }
    ASSERT_OK_AND_ASSIGN(
        const Tensor x,
        model_->Embed(tokens, SequenceBatch::Uniform(kWindows, kWindow), ctx_));
    ASSERT_THAT(hidden_->Write(0, x), test::IsOk());
  }

  std::vector<float> Weights(const TokenWeighting& weighting) {
    auto weights =
        ComputeTokenWeights(*block_, *hidden_, kWindow, weighting, ctx_);
    EXPECT_THAT(weights, test::IsOk());
    return *weights;
  }

  // H of the first set.
  SquareMatrix Moment(absl::Span<const float> weights) {
    StatisticsRequest request;
    request.second_moment = true;
    auto statistics = GatherStatistics(*block_, *hidden_, kWindow, 0, 0,
                                       request, weights, ctx_);
    EXPECT_THAT(statistics, test::IsOk());
    return statistics->at(0).second_moment;
  }

  // The inputs of the first set.
  Tensor Inputs() {
    StatisticsRequest request;
    request.sample_rows = kWindows * kWindow;
    return GatherStatistics(*block_, *hidden_, kWindow, 0, 0, request, {}, ctx_)
        ->at(0)
        .sample;
  }

  test::TempDir directory_;
  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
  std::shared_ptr<const Model> model_;
  std::unique_ptr<Block> block_;
  std::optional<ActivationStore> hidden_;
};

TEST(WeightsFromImportanceTest, AreMinMaxScaledToMeanOne) {
  // Scaled: 0.2, 0.6, 1, sum 1.8.
  EXPECT_THAT(WeightsFromImportance({1, 3, 5}, 0.2),
              ElementsAre(FloatNear(0.2f / 0.6f, 1e-6f), FloatNear(1.0f, 1e-6f),
                          FloatNear(1.0f / 0.6f, 1e-6f)));
  EXPECT_THAT(WeightsFromImportance({4, 4, 4}, 0.1), Each(1.0f));
  EXPECT_THAT(WeightsFromImportance({1, 2, 7, 3, 9}, 1.0), Each(1.0f));
}

TEST_F(TokenWeightsTest, UniformImportanceReproducesTheMomentExactly) {
  const SquareMatrix plain = Moment({});
  const std::vector<float> ones(kWindows * kWindow, 1.0f);
  EXPECT_EQ(Moment(ones).values, plain.values);
  TokenWeighting weighting;
  EXPECT_TRUE(Weights(weighting).empty());
  weighting.kind = TokenWeighting::Kind::kAttention;
  weighting.least = 1.0;
  const std::vector<float> weights = Weights(weighting);
  EXPECT_THAT(weights, Each(1.0f));
  EXPECT_EQ(Moment(weights).values, plain.values);
}

TEST_F(TokenWeightsTest, WeightedMomentIsTheExplicitSum) {
  TokenWeighting weighting;
  weighting.kind = TokenWeighting::Kind::kAttention;
  weighting.least = 0.05;
  const std::vector<float> weights = Weights(weighting);
  const SquareMatrix h = Moment(weights);
  const Tensor x = Inputs();
  for (int64_t i = 0; i < h.n; ++i) {
    for (int64_t j = 0; j < h.n; ++j) {
      double expected = 0;
      for (int64_t t = 0; t < x.rows(); ++t) {
        expected += 2.0 / kWindows * weights[static_cast<size_t>(t)] *
                    x.row(t)[i] * x.row(t)[j];
      }
      ASSERT_NEAR(h.at(i, j), expected, 1e-4 * (1 + std::abs(expected)));
    }
  }
}

TEST_F(TokenWeightsTest, EveryWindowHasMeanOneAndReachesItsLeast) {
  for (TokenWeighting::Kind kind :
       {TokenWeighting::Kind::kAttention, TokenWeighting::Kind::kInputNorm,
        TokenWeighting::Kind::kFirst}) {
    TokenWeighting weighting;
    weighting.kind = kind;
    weighting.least = 0.1;
    const std::vector<float> weights = Weights(weighting);
    ASSERT_EQ(weights.size(), static_cast<size_t>(kWindows * kWindow));
    for (int64_t w = 0; w < kWindows; ++w) {
      const auto begin = weights.begin() + w * kWindow;
      const auto end = begin + kWindow;
      EXPECT_NEAR(std::accumulate(begin, end, 0.0), kWindow, 1e-4);
      if (kind == TokenWeighting::Kind::kFirst) continue;
      EXPECT_NEAR(*std::min_element(begin, end) / *std::max_element(begin, end),
                  0.1, 1e-5);
    }
  }
}

// Under a causal mask the last token has one reader, itself.
TEST_F(TokenWeightsTest, AttentionGivesEarlyTokensMoreUnlessDividedByReaders) {
  TokenWeighting weighting;
  weighting.kind = TokenWeighting::Kind::kAttention;
  const std::vector<float> plain = Weights(weighting);
  weighting.per_reader = TokenWeighting::PerReader::kFull;
  const std::vector<float> divided = Weights(weighting);
  const auto share_of_first_half = [](const std::vector<float>& weights) {
    double first = 0;
    for (int64_t w = 0; w < kWindows; ++w) {
      for (int64_t t = 0; t < kWindow / 2; ++t) {
        first += weights[static_cast<size_t>(w * kWindow + t)];
      }
    }
    return first / (kWindows * kWindow);
  };
  EXPECT_GT(share_of_first_half(plain), 0.6);
  EXPECT_LT(share_of_first_half(divided), share_of_first_half(plain));
}

TEST_F(TokenWeightsTest, FirstTokensAreTakenAlone) {
  TokenWeighting weighting;
  weighting.kind = TokenWeighting::Kind::kFirst;
  weighting.first_share = 0.125;
  const std::vector<float> weights = Weights(weighting);
  for (int64_t i = 0; i < kWindows * kWindow; ++i) {
    EXPECT_EQ(weights[static_cast<size_t>(i)], i % kWindow < 2 ? 8.0f : 0.0f);
  }
}

TEST_F(TokenWeightsTest, WeightsDoNotDependOnTheNumberOfThreads) {
  TokenWeighting weighting;
  weighting.kind = TokenWeighting::Kind::kAttention;
  const std::vector<float> two = Weights(weighting);
  const auto device = NewCpuDevice(1);
  ExecutionContext one(device.get());
  ASSERT_OK_AND_ASSIGN(
      const auto again,
      ComputeTokenWeights(*block_, *hidden_, kWindow, weighting, one));
  EXPECT_EQ(two, again);
}

TEST(RolledCopiesTest, EveryPartComesFirstOnce) {
  CalibrationWindows windows;
  windows.window_tokens = 4;
  windows.tokens = {1, 2, 3, 4, 5, 6, 7, 8};
  const CalibrationWindows rolled = RolledCopies(windows, 2);
  EXPECT_EQ(rolled.window_tokens, 4);
  EXPECT_THAT(rolled.tokens, ElementsAre(1, 2, 3, 4, 3, 4, 1, 2,  //
                                         5, 6, 7, 8, 7, 8, 5, 6));
  EXPECT_EQ(RolledCopies(windows, 1).tokens, windows.tokens);
}

}  // namespace
}  // namespace quantd
