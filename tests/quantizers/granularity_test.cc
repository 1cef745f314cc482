#include "quantizers/stages/granularity.h"

#include <cmath>
#include <memory>
#include <random>

#include "gmock/gmock.h"
#include "proto/field_rules.h"
#include "quantizers/round_to_nearest.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

Tensor Gaussian(int64_t rows, int64_t cols, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal(0.0f, 0.05f);
  Tensor t = Tensor::Uninitialized({rows, cols});
  for (float& v : t.values()) v = normal(engine);
  return t;
}

GridPlan PlanOfGroups(int64_t size) {
  GridPlan plan;
  plan.group_size = size;
  return plan;
}

class GranularityTest : public testing::Test {
 protected:
  int64_t Choose(const Tensor& weight, const GranularityOptions& options,
                 const OutlierMask* outliers = nullptr) {
    return ChooseGroupSize(weight, outliers, options, ctx_);
  }

  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(GranularityTest, OneGreatColumnDrivesGroupsToTheFinest) {
  Tensor w = Gaussian(64, 512, 1);
  for (int64_t r = 0; r < 64; ++r) w.row(r)[100] *= 100;
  for (int64_t finest : {64, 16, 128}) {
    EXPECT_EQ(Choose(w, {0.5, v1::GranularityStage::LEAST, finest}), finest);
  }
  // A finest size that is no half of a half is not passed.
  EXPECT_EQ(Choose(w, {0.5, v1::GranularityStage::LEAST, 48}), 64);
}

TEST_F(GranularityTest, GaussianMatricesStayCoarse) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const Tensor w = Gaussian(64, 512, seed);
    EXPECT_EQ(Choose(w, {0.5, v1::GranularityStage::LEAST, 64}), 512);
    EXPECT_EQ(Choose(w, {0.5, v1::GranularityStage::MEAN, 16}), 512);
  }
}

TEST_F(GranularityTest, OutliersThatAreKeptElsewhereDoNotCount) {
  Tensor w = Gaussian(64, 512, 2);
  OutlierMask mask;
  for (int32_t r = 0; r < 64; ++r) {
    w.row(r)[100] *= 100;
    mask.row_starts.push_back(r);
    mask.columns.push_back(100);
  }
  mask.row_starts.push_back(64);
  EXPECT_EQ(Choose(w, {0.5, v1::GranularityStage::LEAST, 64}, &mask), 512);
}

TEST_F(GranularityTest, ZerosAndOddSizesEndTheHalving) {
  EXPECT_EQ(Choose(Tensor::Zeros({4, 64}), {1, v1::GranularityStage::MEAN, 1}),
            64);
  EXPECT_EQ(Choose(Tensor::Zeros({4, 64}), {1, v1::GranularityStage::LEAST, 1}),
            64);
  EXPECT_EQ(Choose(Gaussian(4, 96, 3), {1, v1::GranularityStage::LEAST, 1}), 3);
  EXPECT_EQ(Choose(Gaussian(4, 17, 3), {1, v1::GranularityStage::LEAST, 1}),
            17);
}

// The card's bound on what halving can cost: scales are rounded anew.
TEST_F(GranularityTest, HalvingNeverRaisesTheErrorOfRoundingMuch) {
  for (int bits : {3, 4}) {
    v1::Stage stage;
    v1::AffineGrid* affine =
        stage.mutable_rtn()->mutable_grid()->mutable_affine();
    affine->set_symmetric(true);
    affine->set_signed_range(true);
    affine->set_bits(static_cast<uint32_t>(bits));
    FillDefaults(&stage);
    const auto grid = NewGrid(stage.rtn().grid());
    Tensor w = Gaussian(64, 512, 4);
    for (int64_t r = 0; r < 64; r += 3) w.row(r)[r] *= 20;
    double previous = INFINITY;
    for (int64_t size = 512; size >= 16; size /= 2) {
      ASSERT_OK_AND_ASSIGN(
          const double error,
          SquaredRoundingError(*grid, PlanOfGroups(size), w, ctx_));
      EXPECT_LT(error, 1.01 * previous) << size;
      previous = error;
    }
  }
}

}  // namespace
}  // namespace quantd
