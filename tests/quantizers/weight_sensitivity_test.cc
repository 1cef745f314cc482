// Gradients of the loss against finite differences of the loss itself, and the
// pass over blocks that makes them.
#include "quantizers/weight_sensitivity.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "models/model.h"
#include "tests/quantizers/tiny_network.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

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

  // Mean negative log-likelihood of a window, with `delta` added to element
  // `index` of a layer of a block.
  double Loss(int64_t window, int changed, size_t layer, int64_t index,
              float delta) {
    const auto batch = SequenceBatch::Uniform(1, kWindowTokens);
    const auto tokens =
        absl::MakeConstSpan(windows_.tokens)
            .subspan(static_cast<size_t>(window * kWindowTokens),
                     kWindowTokens);
    Tensor hidden = *model_->Embed(tokens, batch, ctx_);
    for (int k = 0; k < model_->block_count(); ++k) {
      const auto block = *model_->LoadBlock(k, ctx_);
      if (k == changed) {
        Tensor w = block->linears()[layer].weight().Clone();
        w.data()[index] += delta;
        block->linears()[layer].SetWeight(w);
      }
      hidden = *block->Forward(hidden, batch, ctx_);
    }
    const Tensor logits = *model_->Logits(hidden, ctx_);
    double sum = 0;
    for (int64_t r = 0; r + 1 < logits.rows(); ++r) {
      const float* row = logits.row(r);
      double largest = row[0], total = 0;
      for (int64_t c = 0; c < logits.cols(); ++c) {
        largest = std::max(largest, double{row[c]});
      }
      for (int64_t c = 0; c < logits.cols(); ++c) {
        total += std::exp(row[c] - largest);
      }
      sum +=
          largest + std::log(total) - row[tokens[static_cast<size_t>(r) + 1]];
    }
    return sum / static_cast<double>(logits.rows() - 1);
  }
};

TEST_F(WeightSensitivityTest, IsTheSlopeOfTheLoss) {
  ASSERT_THAT(Compute("one", Measure::kAbsolutes, 1), IsOk());
  std::mt19937_64 engine(4);
  for (int k = 0; k < model_->block_count(); ++k) {
    ASSERT_OK_AND_ASSIGN(const auto found, At("one").Read(k));
    const auto block = *model_->LoadBlock(k, ctx_);
    ASSERT_EQ(found.size(), block->linears().size());
    for (size_t layer = 0; layer < block->linears().size(); ++layer) {
      const Linear& linear = block->linears()[layer];
      const Tensor& g = found.at(linear.name());
      ASSERT_EQ(g.shape(), linear.weight().shape());
      const float largest =
          *std::max_element(g.values().begin(), g.values().end());
      for (int trial = 0; trial < 3; ++trial) {
        const int64_t i =
            static_cast<int64_t>(engine() % static_cast<uint64_t>(g.size()));
        constexpr float kStep = 4e-3f;
        const double slope =
            (Loss(0, k, layer, i, kStep) - Loss(0, k, layer, i, -kStep)) /
            (2 * kStep);
        EXPECT_NEAR(g.data()[i], std::abs(slope),
                    1e-2 * std::abs(slope) + 1e-2 * largest)
            << linear.name() << " " << i;
      }
    }
  }
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
