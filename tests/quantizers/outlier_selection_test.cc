#include "quantizers/outlier_selection.h"

#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "proto/field_rules.h"
#include "quantizers/stages/outliers.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(OutlierSelectionTest, CountsRoundUpAndOnlyUp) {
  EXPECT_EQ(OutlierCount(0.01, 100), 1);
  EXPECT_EQ(OutlierCount(0.01, 101), 2);
  EXPECT_EQ(OutlierCount(0.07, 100), 7);  // 7.000000000000001 in binary
  EXPECT_EQ(OutlierCount(0.01, 1), 1);
  EXPECT_EQ(OutlierCount(0, 1000), 0);
  EXPECT_EQ(OutlierCount(0.5, 3), 2);
}

TEST(OutlierSelectionTest, LargestEntriesAreExactlyTheLargest) {
  const std::vector<float> w = {1, -5, 2, 0, 3, -3, 4, 3};
  const OutlierMask mask = LargestEntries<float>(2, 4, w.data(), 3);
  EXPECT_THAT(mask.row_starts, ElementsAre(0, 1, 3));
  // -5, 4 and the first of three threes.
  EXPECT_THAT(mask.columns, ElementsAre(1, 0, 2));
  EXPECT_EQ(mask.Find(1, 0), 1);
  EXPECT_EQ(mask.Find(0, 0), -1);
  EXPECT_EQ(LargestEntries<float>(2, 4, w.data(), 0).count(), 0);
  EXPECT_EQ(LargestEntries<float>(2, 4, w.data(), 8).count(), 8);
}

TEST(OutlierSelectionTest, LargestColumnsGoByTheirNorm) {
  const std::vector<float> w = {3, 0, -2, 0, 4, -4};
  const OutlierMask mask = LargestColumns<float>(2, 3, w.data(), 2);
  EXPECT_THAT(mask.row_starts, ElementsAre(0, 2, 4));
  EXPECT_THAT(mask.columns, ElementsAre(1, 2, 1, 2));
}

TEST(OutlierSelectionTest, ThreeSigmasOfAGaussianAreItsTail) {
  std::mt19937_64 engine(1);
  std::normal_distribution<double> normal(0.5, 2);
  std::vector<double> w(1024 * 512);
  for (double& v : w) v = normal(engine);
  const auto share = [&](double sigmas) {
    return static_cast<double>(
               EntriesBeyond<double>(1024, 512, w.data(), sigmas).count()) /
           static_cast<double>(w.size());
  };
  EXPECT_NEAR(share(3), 0.0027, 0.0005);
  EXPECT_NEAR(share(3), std::erfc(3 / std::sqrt(2.0)), 2e-4);
  EXPECT_NEAR(share(2.5), std::erfc(2.5 / std::sqrt(2.0)), 5e-4);
}

TEST(OutlierSelectionTest, ConstantMatrixHasNoneBeyond) {
  const std::vector<float> w(64, 3.0f);
  EXPECT_EQ(EntriesBeyond<float>(8, 8, w.data(), 3).count(), 0);
}

TEST(OutlierSelectionTest, RandomChoiceIsExactSeededAndEven) {
  EXPECT_THAT(RandomEntries(3, 5, 15, 7).columns,
              ElementsAre(0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4));
  EXPECT_EQ(RandomEntries(9, 9, 8, 1).columns,
            RandomEntries(9, 9, 8, 1).columns);
  EXPECT_NE(RandomEntries(9, 9, 8, 1).columns,
            RandomEntries(9, 9, 8, 2).columns);
  const OutlierMask columns = RandomColumns(2, 6, 2, 3);
  EXPECT_EQ(columns.count(), 4);
  EXPECT_EQ(columns.columns[0], columns.columns[2]);
  std::vector<int> hits(10);
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const OutlierMask mask = RandomEntries(1, 10, 3, seed);
    ASSERT_EQ(mask.count(), 3);
    for (int32_t c : mask.columns) ++hits[c];
  }
  for (int h : hits) EXPECT_NEAR(h, 600, 100);
}

// --- The stage -------------------------------------------------------------

class OutliersStageTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Stage>> Make(
      const std::vector<std::string>& assignments) {
    v1::Stage options;
    options.mutable_outliers();
    FillDefaults(&options);
    for (const std::string& assignment : assignments) {
      RETURN_IF_ERROR(ApplyAssignment(&options, assignment));
    }
    return NewOutliersStage(options.outliers());
  }

  absl::StatusOr<OutlierMask> Run(const std::vector<std::string>& assignments,
                                  const std::string& layer = "layer") {
    ASSIGN_OR_RETURN(const auto stage, Make(assignments));
    RETURN_IF_ERROR(stage->Validate({layer, 40, 50}));
    BlockWork work;
    work.layers.resize(1);
    work.layers[0].name = layer;
    work.layers[0].weight = Tensor::Uninitialized({40, 50});
    std::mt19937_64 engine(3);
    std::normal_distribution<double> normal;
    for (float& v : work.layers[0].weight.values()) {
      v = static_cast<float>(normal(engine));
    }
    RETURN_IF_ERROR(stage->ProcessBlock(work, ctx_));
    const OutlierMask mask = *work.layers[0].outliers;
    // Whoever comes second is told.
    // A later stage adds to it: nothing it has is lost, or counted twice.
    const OutlierMask first = *work.layers[0].outliers;
    auto again = Make({"fraction=0.01"});
    EXPECT_THAT(again.status(), IsOk());
    EXPECT_THAT((*again)->ProcessBlock(work, ctx_), IsOk());
    EXPECT_EQ(work.layers[0].outliers->count(), first.count() + 20);
    for (int64_t r = 0; r < 40; ++r) {
      for (int32_t i = first.row_starts[static_cast<size_t>(r)];
           i < first.row_starts[static_cast<size_t>(r) + 1]; ++i) {
        EXPECT_GE(work.layers[0].outliers->Find(
                      r, first.columns[static_cast<size_t>(i)]),
                  0);
      }
    }
    return mask;
  }

  std::unique_ptr<Device> device_ = NewCpuDevice(1);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(OutliersStageTest, CriteriaChooseWhatTheySay) {
  ASSERT_OK_AND_ASSIGN(const OutlierMask largest, Run({"fraction=0.02"}));
  EXPECT_EQ(largest.count(), 40);
  ASSERT_OK_AND_ASSIGN(const OutlierMask any,
                       Run({"criterion=RANDOM", "fraction=0.02"}));
  EXPECT_EQ(any.count(), 40);
  EXPECT_NE(any.columns, largest.columns);
  ASSERT_OK_AND_ASSIGN(const OutlierMask other,
                       Run({"criterion=RANDOM", "fraction=0.02"}, "other"));
  EXPECT_NE(any.columns, other.columns) << "every layer has its own";
  ASSERT_OK_AND_ASSIGN(const OutlierMask beyond,
                       Run({"criterion=SIGMA", "sigmas=2"}));
  EXPECT_NEAR(static_cast<double>(beyond.count()), 0.0455 * 2000, 40);
  ASSERT_OK_AND_ASSIGN(const OutlierMask columns,
                       Run({"whole_columns=true", "fraction=0.04"}));
  EXPECT_EQ(columns.count(), 2 * 40);
}

TEST_F(OutliersStageTest, WholeColumnsBeyondSigmasAreRefused) {
  ASSERT_OK_AND_ASSIGN(const auto stage,
                       Make({"criterion=SIGMA", "whole_columns=true"}));
  EXPECT_THAT(stage->Validate({"up_proj", 4, 4}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("outliers.whole_columns")));
}

}  // namespace
}  // namespace quantd
