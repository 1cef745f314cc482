#include "client/label_places.h"

#include <optional>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd::test {
namespace {

using ::testing::IsEmpty;

constexpr PictureBox kArea = {0, 0, 400, 300};

PictureBox Around(double x, double y, double reach) {
  return {x - reach, y - reach, x + reach, y + reach};
}

TEST(LabelPlacesTest, ALonePointHasItsNameToTheUpperRight) {
  const auto places =
      PlaceLabels({{100, 100, 50, 10}}, {Around(100, 100, 5)}, {}, kArea);
  ASSERT_EQ(places.size(), 1u);
  ASSERT_TRUE(places[0].has_value());
  EXPECT_EQ(places[0]->left, 107);
  EXPECT_EQ(places[0]->right, 157);
  EXPECT_LT(places[0]->bottom, 100);
}

TEST(LabelPlacesTest, NothingOverlapsAndNothingLeavesTheArea) {
  std::vector<PointLabel> labels;
  std::vector<PictureBox> taken;
  for (int i = 0; i < 12; ++i) {
    const double x = 20 + 30 * i, y = 280 - 20 * i;
    labels.push_back({x, y, 90, 11});
    taken.push_back(Around(x, y, 5.5));
    taken.push_back({x - 4, y - 25, x + 4, y + 25});
  }
  const auto places = PlaceLabels(labels, taken, {}, kArea);
  int placed = 0;
  for (const auto& place : places) {
    if (!place.has_value()) continue;
    ++placed;
    EXPECT_TRUE(kArea.Contains(*place));
    for (const PictureBox& other : taken) EXPECT_FALSE(place->Overlaps(other));
    taken.push_back(*place);
  }
  EXPECT_GE(placed, 8);
}

TEST(LabelPlacesTest, ALabelKeepsOffTheLineWhereItCan) {
  const std::vector<std::pair<double, double>> rising = {{0, 200}, {200, 0}};
  const auto places =
      PlaceLabels({{100, 100, 60, 10}}, {Around(100, 100, 5)}, rising, kArea);
  ASSERT_TRUE(places[0].has_value());
  for (double x = 0; x < 200; ++x) {
    EXPECT_FALSE(places[0]->Contains(x, 200 - x)) << x;
  }
}

TEST(LabelPlacesTest, ALongLabelAtTheEdgeMovesAlongIt) {
  // To the right and the left of the first there is no room for 300.
  const auto places =
      PlaceLabels({{200, 150, 300, 10}, {390, 50, 300, 10}},
                  {Around(200, 150, 5), Around(390, 50, 5)}, {}, kArea);
  ASSERT_TRUE(places[0].has_value());
  ASSERT_TRUE(places[1].has_value());
  EXPECT_TRUE(kArea.Contains(*places[0]));
  EXPECT_EQ(places[1]->right, 383);
}

TEST(LabelPlacesTest, ALabelWithoutAPlaceIsLeftOut) {
  EXPECT_THAT(PlaceLabels({}, {}, {}, kArea), IsEmpty());
  // Wider than the area; and everything is taken.
  EXPECT_FALSE(
      PlaceLabels({{100, 100, 500, 10}}, {}, {}, kArea)[0].has_value());
  EXPECT_FALSE(
      PlaceLabels({{100, 100, 50, 10}}, {kArea}, {}, kArea)[0].has_value());
}

}  // namespace
}  // namespace quantd::test
