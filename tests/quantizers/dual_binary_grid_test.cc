#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "quantizers/grids/dual_binary.h"
#include "quantizers/round_to_nearest.h"
#include "tests/quantizers/random_matrices.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::RandomMatrix;
using ::quantd::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DualBinaryGridTest : public testing::Test {
 protected:
  DualBinaryWeights Rounded(const Tensor& w, const DualBinaryOptions& options,
                            const float* importance = nullptr) {
    DualBinaryLayerGrid<float> grid(w.rows(), w.cols(), options);
    FitAllGroups<float>(w.rows(), w.cols(), w.data(), importance, grid, ctx_);
    std::vector<float> quantized(static_cast<size_t>(w.size()));
    const int64_t size = grid.group_size();
    for (int64_t g = 0; g * size < w.cols(); ++g) {
      Patch<float> patch;
      patch.row_end = w.rows();
      patch.column = g * size;
      patch.columns = size;
      patch.group = g;
      patch.values = w.data() + g * size;
      patch.value_stride = w.cols();
      patch.quantized = quantized.data() + g * size;
      patch.quantized_stride = w.cols();
      grid.Quantize(patch);
    }
    const auto linear = grid.Finish({});
    EXPECT_TRUE(linear.ok()) << linear.status();
    EXPECT_THAT((*linear)->Decode(ctx_).values(),
                testing::ElementsAreArray(quantized));
    return *UnpackDualBinary(**linear);
  }

  const std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST(DualBinaryFormulaTest, LevelsTwoAndMinusOne) {
  const DualBinaryPair pair = {2, -1};
  const float inputs[] = {-1.2f, -0.6f, -0.4f, 0.3f, 0.6f, 1.4f, 1.6f};
  const float values[] = {-1, -1, 0, 0, 1, 1, 2};
  const int b1[] = {0, 0, 0, 0, 1, 1, 1};
  const int b2[] = {1, 1, 0, 0, 1, 1, 0};
  for (int i = 0; i < 7; ++i) {
    const int code = EncodeDualBinary(inputs[i], pair);
    EXPECT_EQ(code & 1, b1[i]) << inputs[i];
    EXPECT_EQ(code >> 1, b2[i]) << inputs[i];
    EXPECT_EQ(DecodeDualBinary<float>(code, pair), values[i]);
    EXPECT_EQ(EncodeDualBinary(double{inputs[i]}, pair), code);
    // Mirrored, all is negated.
    EXPECT_EQ(EncodeDualBinary(-inputs[i], {-2, 1}), code);
    EXPECT_EQ(DecodeDualBinary<float>(code, {-2, 1}), -values[i]);
  }
  // Halfway between two values.
  EXPECT_EQ(EncodeDualBinary(0.5f, pair), 3);
  EXPECT_EQ(EncodeDualBinary(-0.5f, pair), 2);
  EXPECT_EQ(EncodeDualBinary(1.5f, pair), 3);
}

TEST(DualBinaryFormulaTest, ValueIsTheNearestOfTheFour) {
  std::mt19937_64 engine(5);
  const auto uniform = [&] {
    return static_cast<double>(engine() >> 11) * 0x1p-53;
  };
  for (int i = 0; i < 20000; ++i) {
    const double high = 0.01 + uniform();
    const double low = -high * (0.001 + 0.998 * uniform());
    DualBinaryPair pair = {static_cast<float>(high), static_cast<float>(low)};
    if (i % 2 == 1) pair = {-pair.high, -pair.low};
    const double w = 3 * uniform() - 1.5;
    const double got =
        DecodeDualBinary<double>(EncodeDualBinary(w, pair), pair);
    double nearest = INFINITY;
    for (int code = 0; code < 4; ++code) {
      nearest =
          std::min(nearest, std::abs(w - DecodeDualBinary<double>(code, pair)));
    }
    EXPECT_NEAR(std::abs(w - got), nearest, 1e-6) << high << " " << low;
  }
}

TEST_F(DualBinaryGridTest, BeginsAsTheGridOfTwoBits) {
  const Tensor w = Tensor::FromValues(
      {1, 8}, {0.3f, -0.4f, 1.0f, 0.0f, 0.3f, 0.4f, -2.0f, 0.9f});
  DualBinaryOptions options;
  options.group_size = 4;
  DualBinaryWeights q = Rounded(w, options);
  EXPECT_THAT(q.highs, ElementsAre(1, 2));
  EXPECT_THAT(q.lows, ElementsAre(-0.5f, -1));
  EXPECT_THAT(q.mirrored, ElementsAre(0, 1));
  // 0.5, -0.5, 1, 0; mirrored: 0, 0, -2, 1.
  EXPECT_THAT(q.codes, ElementsAre(3, 2, 1, 0, 0, 0, 1, 2));
  options.mirror = false;
  q = Rounded(w, options);
  EXPECT_TRUE(q.mirrored.empty());
  // 0, 0, -1, 1.
  EXPECT_THAT(std::vector<uint8_t>(q.codes.begin() + 4, q.codes.end()),
              ElementsAre(0, 0, 2, 3));
  // Of ends of equal size the upper one is kept.
  q = Rounded(Tensor::FromValues({1, 4}, {-1, 1, 0, 0}), {-1, true});
  EXPECT_THAT(q.mirrored, ElementsAre(0));
}

TEST_F(DualBinaryGridTest, ExtremesHaveLevelsThatCanBeStored) {
  DualBinaryOptions options;
  options.group_size = -1;
  const DualBinaryWeights q = Rounded(
      Tensor::FromValues({4, 2}, {0, 0, 1e-9f, 0, 1e9f, -1e9f, -65504.0f, 1}),
      options);
  EXPECT_THAT(q.highs, ElementsAre(2, 0x1p-23f, 65504.0f, 65504.0f));
  EXPECT_THAT(q.mirrored, ElementsAre(0, 0, 0, 1));
}

TEST_F(DualBinaryGridTest, WeightsLeftOutDoNotWidenTheLevels) {
  const Tensor w = Tensor::FromValues({1, 4}, {-64, 1, 0.5f, 0});
  const float importance[] = {0, 1, 2, 1};
  const DualBinaryWeights q = Rounded(w, {-1, true}, importance);
  EXPECT_THAT(q.highs, ElementsAre(1));
  EXPECT_THAT(q.mirrored, ElementsAre(0));
}

TEST_F(DualBinaryGridTest, MirroringLowersTheError) {
  const Tensor w = RandomMatrix(32, 64, 7);
  const auto error = [&](bool mirror) {
    const DualBinaryWeights q = Rounded(w, {16, mirror});
    const Tensor decoded = (*NewDualBinary(q))->Decode(ctx_);
    double sum = 0;
    for (int64_t i = 0; i < w.size(); ++i) {
      sum += std::pow(double{decoded.data()[i]} - w.data()[i], 2);
    }
    return sum;
  };
  EXPECT_LT(error(true), 0.9 * error(false));
}

TEST_F(DualBinaryGridTest, ForecastOfStoredBytesIsExactWithoutMirroringToo) {
  v1::DualBinaryGrid options;
  options.set_group_size(8);
  for (const bool mirror : {false, true}) {
    options.set_mirror(mirror);
    const auto grid = NewDualBinaryGrid(options);
    const DualBinaryWeights q = Rounded(RandomMatrix(13, 48, 1), {8, mirror});
    EXPECT_EQ((*NewDualBinary(q))->stored_bits(),
              8 * grid->Cost({"layer", 13, 48}).stored_bytes);
  }
}

TEST_F(DualBinaryGridTest, RefusesWhatItCannotFollow) {
  v1::DualBinaryGrid options;
  options.set_group_size(8);
  const auto grid = NewDualBinaryGrid(options);
  GridPlan plan;
  plan.group_bits = {2};
  EXPECT_THAT(grid->NewLayerGrid(8, 48, plan),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no bits per group")));
  plan = {};
  plan.exponent = 0.5;
  EXPECT_THAT(grid->NewLayerGrid(8, 48, plan),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("kind dual_binary has none")));
  plan = {};
  plan.group_size = 16;
  ASSERT_OK_AND_ASSIGN(const auto layer, grid->NewLayerGrid(8, 48, plan));
  EXPECT_EQ(layer->group_size(), 16);
}

}  // namespace
}  // namespace quantd
