#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "quantizers/grids/partially_binary.h"
#include "quantizers/round_to_nearest.h"
#include "quantizers/stages/gptq.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

std::vector<float> Random(int64_t count, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) {
    v = static_cast<float>(static_cast<double>(engine() >> 11) * 0x1p-52 - 1);
  }
  return values;
}

class PartiallyBinaryGridTest : public testing::Test {
 protected:
  LayerView<float> View(const std::vector<float>& w, int64_t cols) {
    LayerView<float> view;
    view.rows = static_cast<int64_t>(w.size()) / cols;
    view.cols = cols;
    view.weights = w.data();
    return view;
  }

  PartiallyBinaryLayerGrid<float> Prepared(
      const LayerView<float>& view, const PartiallyBinaryOptions& options) {
    PartiallyBinaryLayerGrid<float> grid(view.rows, view.cols, options);
    EXPECT_THAT(grid.Prepare(view, ctx_), IsOk());
    FitAllGroups<float>(view.rows, view.cols, view.weights, view.importance,
                        grid, ctx_);
    return grid;
  }

  std::vector<float> Round(const LayerView<float>& view,
                           LayerGrid<float>& grid) {
    std::vector<float> out(static_cast<size_t>(view.rows * view.cols));
    const int64_t size = grid.group_size();
    for (int64_t g = 0; g * size < view.cols; ++g) {
      Patch<float> patch;
      patch.row_end = view.rows;
      patch.column = g * size;
      patch.columns = size;
      patch.group = g;
      patch.values = view.weights + g * size;
      patch.value_stride = view.cols;
      patch.quantized = out.data() + g * size;
      patch.quantized_stride = view.cols;
      grid.Quantize(patch);
    }
    return out;
  }

  static int64_t Count(const PartiallyBinaryWeights& w) {
    return std::accumulate(w.salient.begin(), w.salient.end(), int64_t{0});
  }

  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(PartiallyBinaryGridTest, NineSignsAndOneSalientTenAreExact) {
  const std::vector<float> w = {1, -1, 1, 1, 10, -1, -1, -1, 1, 1};
  PartiallyBinaryOptions options;
  options.center = BinaryCenter::kZero;
  options.metric = SalienceMetric::kMagnitude;
  const LayerView<float> view = View(w, 10);
  auto grid = Prepared(view, options);
  EXPECT_EQ(Count(grid.weights()), 1);
  EXPECT_EQ(grid.weights().salient[4], 1);
  EXPECT_EQ(grid.weights().alphas[0], 1.0f);
  const std::vector<float> q = Round(view, grid);
  for (size_t i = 0; i < 10; ++i) {
    // The integer grid of the row spans [-1, 10] in 255 steps.
    EXPECT_NEAR(q[i], w[i], i == 4 ? 11.0 / 255 : 0.0) << i;
  }
}

TEST_F(PartiallyBinaryGridTest, SalientRatioIsExact) {
  const std::vector<float> w = Random(40 * 60, 1);
  for (double fraction : {0.0, 0.05, 0.1, 0.2, 0.5, 0.777, 1.0}) {
    for (int64_t size : {60, 20, 3}) {
      PartiallyBinaryOptions options;
      options.salient_fraction = fraction;
      options.group_size = size;
      const auto grid = Prepared(View(w, 60), options);
      const int64_t per_group =
          std::llround(fraction * static_cast<double>(40 * size));
      EXPECT_EQ(Count(grid.weights()), 60 / size * per_group);
      EXPECT_EQ(options.SalientCount(40, 60), 60 / size * per_group);
      // Each group has its share.
      int64_t first = 0;
      for (int64_t r = 0; r < 40; ++r) {
        for (int64_t c = 0; c < size; ++c) {
          first += grid.weights().salient[r * 60 + c];
        }
      }
      EXPECT_EQ(first, per_group);
    }
  }
  // Also among equals, of which the first are taken.
  const std::vector<float> equal(100, 0.5f);
  const auto grid = Prepared(View(equal, 10), {});
  EXPECT_EQ(Count(grid.weights()), 10);
  EXPECT_EQ(grid.weights().salient[9], 1);
}

TEST_F(PartiallyBinaryGridTest, MetricIsTheMagnitudeOrTheScaledSquare) {
  const std::vector<float> w = {1, 2, 3, 4, -5, 1, 1, 1};
  PartiallyBinaryOptions options;
  options.salient_fraction = 0.25;
  options.metric = SalienceMetric::kMagnitude;
  LayerView<float> view = View(w, 4);
  const std::vector<float> u = {1, 0.1f, 1, 1};
  view.factor_diagonal = u;
  EXPECT_THAT(Prepared(view, options).weights().salient,
              testing::ElementsAre(0, 0, 0, 1, 1, 0, 0, 0));
  options.metric = SalienceMetric::kHessian;
  EXPECT_THAT(Prepared(view, options).weights().salient,
              testing::ElementsAre(0, 1, 0, 0, 0, 1, 0, 0));
  // Without a factor the second moment says what it can, and an input that
  // was never active makes nothing salient.
  view.factor_diagonal = {};
  const std::vector<double> h = {0, 1, 1, 90};
  view.moment_diagonal = h;
  EXPECT_THAT(Prepared(view, options).weights().salient,
              testing::ElementsAre(0, 0, 0, 1, 0, 0, 0, 1));
}

TEST_F(PartiallyBinaryGridTest, ParametersOfTheOthersDoNotSeeSalientWeights) {
  const int64_t rows = 6, cols = 32;
  const std::vector<float> w = Random(rows * cols, 2);
  PartiallyBinaryOptions options;
  options.salient_fraction = 0.3;
  options.group_size = 8;
  const LayerView<float> view = View(w, cols);
  auto grid = Prepared(view, options);
  const std::vector<float> q = Round(view, grid);
  const PartiallyBinaryWeights& stored = grid.weights();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t g = 0; g < 4; ++g) {
      double sum = 0, count = 0;
      for (int64_t c = g * 8; c < g * 8 + 8; ++c) {
        if (stored.salient[r * cols + c]) continue;
        sum += static_cast<double>(w[r * cols + c]);
        count += 1;
      }
      if (count == 0) continue;
      EXPECT_NEAR(stored.means[r * 4 + g], sum / count, 1e-3);
      double distance = 0;
      for (int64_t c = g * 8; c < g * 8 + 8; ++c) {
        if (stored.salient[r * cols + c]) continue;
        distance += std::abs(static_cast<double>(w[r * cols + c]) -
                             static_cast<double>(stored.means[r * 4 + g]));
      }
      EXPECT_NEAR(stored.alphas[r * 4 + g], distance / count, 1e-3);
    }
  }
  ASSERT_OK_AND_ASSIGN(const auto linear, grid.Finish({}));
  EXPECT_EQ(linear->layout(), "partially-binary.v1");
  const Tensor decoded = linear->Decode(ctx_);
  for (size_t i = 0; i < q.size(); ++i) ASSERT_EQ(decoded.data()[i], q[i]);
}

TEST_F(PartiallyBinaryGridTest, WeightsLeftOutAreNotSalient) {
  const std::vector<float> w = {9, 1, -1, 2, 1, 1, -1, -3};
  std::vector<float> importance(8, 1.0f);
  importance[0] = 0;
  LayerView<float> view = View(w, 8);
  view.importance = importance.data();
  PartiallyBinaryOptions options;
  options.salient_fraction = 0.125;
  const auto grid = Prepared(view, options);
  EXPECT_EQ(Count(grid.weights()), 1);
  EXPECT_EQ(grid.weights().salient[7], 1);
  // The row's integer grid spans [-3, 2].
  EXPECT_NEAR(grid.weights().scales[0], 5.0 / 255, 1e-4);
}

TEST_F(PartiallyBinaryGridTest, SweepKeepsTheMaskAndLowersTheLoss) {
  const int64_t rows = 16, n = 32;
  const std::vector<float> w = Random(rows * n, 3);
  const std::vector<float> x = Random(4 * n * n, 4);
  SquareMatrix h(n);
  for (int64_t r = 0; r < 4 * n; ++r) {
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const auto at = [&](int64_t k) {
          return static_cast<double>(x[r * n + k]) +
                 0.8 * static_cast<double>(x[r * n + (k + 1) % n]);
        };
        h.at(i, j) += at(i) * at(j);
      }
    }
  }
  const auto objective = [&](const Tensor& q) {
    double sum = 0;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          sum += (static_cast<double>(w[r * n + i]) - q.row(r)[i]) *
                 h.at(i, j) * (static_cast<double>(w[r * n + j]) - q.row(r)[j]);
        }
      }
    }
    return sum;
  };
  for (bool act_order : {false, true}) {
    GptqOptions gptq;
    gptq.act_order = act_order;
    ASSERT_OK_AND_ASSIGN(const auto factor,
                         FactorForGptq<float>(h, gptq, ctx_));
    const std::vector<float> diagonal = FactorDiagonal(factor);
    LayerView<float> view = View(w, n);
    view.factor_diagonal = diagonal;
    auto rounded = Prepared(view, {});
    Round(view, rounded);
    PartiallyBinaryLayerGrid<float> swept(rows, n, {});
    ASSERT_THAT(swept.Prepare(view, ctx_), IsOk());
    EXPECT_EQ(swept.weights().salient, rounded.weights().salient);
    ASSERT_OK_AND_ASSIGN(auto result,
                         QuantizeGptq<float>(rows, n, w.data(), nullptr, factor,
                                             gptq, swept, ctx_));
    EXPECT_EQ(swept.weights().salient, rounded.weights().salient);
    EXPECT_EQ(swept.weights().scales, rounded.weights().scales);
    ASSERT_OK_AND_ASSIGN(const auto a, rounded.Finish({}));
    ASSERT_OK_AND_ASSIGN(const auto b,
                         swept.Finish(std::move(result.group_index)));
    EXPECT_LT(objective(b->Decode(ctx_)), 0.9 * objective(a->Decode(ctx_)));
  }
}

TEST_F(PartiallyBinaryGridTest, ForecastOfStoredBytesIsExact) {
  v1::PartiallyBinaryGrid options;
  options.set_salient_fraction(0.13);
  options.set_salient_bits(5);
  for (int32_t size : {-1, 8}) {
    for (bool centered : {false, true}) {
      options.set_group_size(size);
      options.set_centered(centered);
      const auto grid = NewPartiallyBinaryGrid(options);
      const std::vector<float> w = Random(13 * 48, 5);
      LayerView<float> view = View(w, 48);
      ASSERT_OK_AND_ASSIGN(const auto layer, grid->NewLayerGrid(13, 48, {}));
      ASSERT_THAT(layer->Prepare(view, ctx_), IsOk());
      FitAllGroups<float>(13, 48, w.data(), nullptr, *layer, ctx_);
      Round(view, *layer);
      ASSERT_OK_AND_ASSIGN(const auto linear, layer->Finish({}));
      EXPECT_EQ(linear->stored_bits(),
                8 * grid->Cost({"layer", 13, 48}).stored_bytes);
    }
  }
}

TEST_F(PartiallyBinaryGridTest, RefusesWhatItCannotFollow) {
  v1::PartiallyBinaryGrid options;
  options.set_group_size(48);
  const auto grid = NewPartiallyBinaryGrid(options);
  EXPECT_THAT(grid->Validate("gptq.grid", {"layer", 8, 64}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::AllOf(
                           HasSubstr("gptq.grid.partially_binary.group_size"),
                           HasSubstr("48 does not divide the 64"))));
  GridPlan plan;
  plan.group_bits = {2};
  EXPECT_THAT(grid->NewLayerGrid(8, 48, plan),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no bits per group")));
}

}  // namespace
}  // namespace quantd
