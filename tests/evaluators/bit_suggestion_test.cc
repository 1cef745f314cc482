#include "evaluators/bit_suggestion.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "gmock/gmock.h"

namespace quantd {
namespace {

std::vector<int> ChangesOf(const v1::BitSuggestion& suggestion) {
  std::vector<int> changes;
  for (const v1::UnitBits& unit : suggestion.units()) {
    changes.push_back(unit.change());
  }
  return changes;
}

TEST(BitSuggestionTest, BitsGoFromWhatHurtsLittleToWhatHurtsMuch) {
  const v1::BitSuggestion suggestion =
      SuggestBits({{"a", 100, 4.25, 0.2}, {"b", 100, 4.25, 0.001}});
  EXPECT_THAT(ChangesOf(suggestion), testing::ElementsAre(2, -2));
  EXPECT_EQ(suggestion.units(0).name(), "a");
  EXPECT_EQ(suggestion.units(0).suggested_bits_per_weight(), 6.25);
  EXPECT_DOUBLE_EQ(suggestion.bits_per_weight(), 4.25);
  EXPECT_DOUBLE_EQ(suggestion.suggested_bits_per_weight(), 4.25);
  EXPECT_DOUBLE_EQ(suggestion.kl(), 0.201);
  EXPECT_DOUBLE_EQ(suggestion.predicted_kl(), 0.2 / 16 + 0.001 * 16);
}

TEST(BitSuggestionTest, EqualUnitsStayAsTheyAre) {
  const v1::BitSuggestion suggestion =
      SuggestBits({{"a", 10, 3, 0.1}, {"b", 10, 3, 0.1}, {"c", 10, 3, 0.1}});
  EXPECT_THAT(ChangesOf(suggestion), testing::ElementsAre(0, 0, 0));
  EXPECT_EQ(suggestion.predicted_kl(), suggestion.kl());
}

TEST(BitSuggestionTest, NoUnitFallsBelowOneBit) {
  const v1::BitSuggestion suggestion =
      SuggestBits({{"a", 10, 2.1, 1}, {"b", 10, 1.5, 0}, {"c", 10, 2, 0}});
  EXPECT_THAT(ChangesOf(suggestion), testing::ElementsAre(1, 0, -1));
}

TEST(BitSuggestionTest, OneUnitHasNobodyToTakeFrom) {
  EXPECT_THAT(ChangesOf(SuggestBits({{"a", 10, 4, 1}})),
              testing::ElementsAre(0));
  EXPECT_EQ(SuggestBits({}).units_size(), 0);
}

TEST(BitSuggestionTest, UnitsOfUnequalSizeKeepTheMeanOrFallBelowIt) {
  const v1::BitSuggestion suggestion = SuggestBits(
      {{"a", 300, 4, 0.3}, {"b", 100, 4, 0.01}, {"c", 100, 4, 0.001}});
  EXPECT_LE(suggestion.suggested_bits_per_weight(), 4);
  EXPECT_LE(suggestion.predicted_kl(), suggestion.kl());
}

// Against all changes that keep the mean, for units of one size.
TEST(BitSuggestionTest, GreedyIsTheBestForUnitsOfOneSize) {
  std::mt19937_64 engine(3);
  std::exponential_distribution<double> kl(1);
  for (int round = 0; round < 50; ++round) {
    std::vector<UnitCost> units;
    for (int u = 0; u < 4; ++u) units.push_back({"u", 64, 4, kl(engine)});
    double best = 1e9;
    for (int code = 0; code < 625; ++code) {
      int rest = code, sum = 0;
      double total = 0;
      for (const UnitCost& unit : units) {
        const int change = rest % 5 - 2;
        rest /= 5;
        sum += change;
        total += unit.kl * std::pow(0.25, change);
      }
      if (sum <= 0) best = std::min(best, total);
    }
    EXPECT_NEAR(SuggestBits(units).predicted_kl(), best, 1e-12);
  }
}

}  // namespace
}  // namespace quantd
