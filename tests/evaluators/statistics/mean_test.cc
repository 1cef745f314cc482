#include "evaluators/statistics/mean.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(MeanTest, ErrorsAreTheirFormulas) {
  // Mean 3; deviations -2, -1, 0, 1, 2; clusters {-2, -1}, {0, 1, 2}.
  ASSERT_OK_AND_ASSIGN(const MeanEstimate estimate,
                       EstimateMeanOfItems({1, 2, 3, 4, 5}, {7, 7, 0, 0, 0}));
  EXPECT_EQ(estimate.mean, 3);
  EXPECT_EQ(estimate.items, 5u);
  EXPECT_EQ(estimate.clusters, 2u);
  EXPECT_NEAR(estimate.iid_error, std::sqrt(10.0 / 4 / 5), 1e-15);
  // Sums -3 and 3: sqrt(18) / 5 * sqrt(2 / 1).
  ASSERT_TRUE(estimate.clustered_error.has_value());
  EXPECT_NEAR(*estimate.clustered_error, 6.0 / 5, 1e-15);
  EXPECT_NEAR(*estimate.DesignEffect(), 36.0 / 25 / 0.5, 1e-12);
}

TEST(MeanTest, ClusteredErrorIsMillersSumOverPairs) {
  const std::vector<double> scores = {0.5, 1, 0, 1, 1, 0, 0.25, 1};
  const std::vector<uint32_t> clusters = {0, 0, 0, 1, 2, 2, 3, 3};
  ASSERT_OK_AND_ASSIGN(const MeanEstimate estimate,
                       EstimateMeanOfItems(scores, clusters));
  double variance = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    for (size_t j = 0; j < scores.size(); ++j) {
      if (clusters[i] != clusters[j]) continue;
      variance += (scores[i] - estimate.mean) * (scores[j] - estimate.mean);
    }
  }
  variance /= 64;
  EXPECT_NEAR(*estimate.clustered_error, std::sqrt(variance * 4 / 3), 1e-14);
}

TEST(MeanTest, SingleItemClustersAreIndependentItems) {
  const std::vector<double> scores = {0.5, 1, 0, 1, 1, 0};
  ASSERT_OK_AND_ASSIGN(const MeanEstimate none,
                       EstimateMeanOfItems(scores, {}));
  EXPECT_NEAR(*none.clustered_error, none.iid_error, 1e-15);
  EXPECT_NEAR(*none.DesignEffect(), 1, 1e-12);
}

TEST(MeanTest, RepeatedItemsHaveTheDesignEffectOfTheirNumber) {
  std::vector<double> scores;
  std::vector<uint32_t> clusters;
  for (uint32_t c = 0; c < 1000; ++c) {
    for (int copy = 0; copy < 4; ++copy) {
      scores.push_back(c % 3 == 0);
      clusters.push_back(c);
    }
  }
  ASSERT_OK_AND_ASSIGN(const MeanEstimate estimate,
                       EstimateMeanOfItems(scores, clusters));
  EXPECT_NEAR(*estimate.DesignEffect(), 4, 0.01);
}

TEST(MeanTest, OneClusterHasNoClusteredError) {
  ASSERT_OK_AND_ASSIGN(const MeanEstimate estimate,
                       EstimateMeanOfItems({1, 0}, {5, 5}));
  EXPECT_FALSE(estimate.clustered_error.has_value());
  EXPECT_FALSE(estimate.DesignEffect().has_value());
}

TEST(MeanTest, EqualScoresHaveNoErrorAndNoDesignEffect) {
  ASSERT_OK_AND_ASSIGN(const MeanEstimate estimate,
                       EstimateMeanOfItems({1, 1, 1}, {1, 1, 2}));
  EXPECT_EQ(estimate.iid_error, 0);
  EXPECT_EQ(*estimate.DesignEffect(), 1);
}

TEST(MeanTest, BadScoresAreNamed) {
  EXPECT_THAT(EstimateMeanOfItems({1, NAN}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("item 1 has the value nan")));
  EXPECT_THAT(
      EstimateMeanOfItems({1}, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("two items")));
  EXPECT_THAT(EstimateMeanOfItems({1, 0}, {1}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("1 cluster names for 2 items")));
}

TEST(MeanTest, GroupsKeepTheOrderOfTheirFirstItem) {
  ASSERT_OK_AND_ASSIGN(const auto groups, GroupByCluster(5, {9, 4, 9, 4, 1}));
  EXPECT_THAT(groups, ElementsAre(ElementsAre(0, 2), ElementsAre(1, 3),
                                  ElementsAre(4)));
}

}  // namespace
}  // namespace quantd
