#include "evaluators/bit_suggestion.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::BitSuggestion Suggest(const std::vector<UnitCost>& units,
                          double target_bits = 0) {
  const auto suggestion = SuggestBits(units, target_bits);
  EXPECT_THAT(suggestion, IsOk());
  return suggestion.ok() ? *suggestion : v1::BitSuggestion();
}

std::vector<int> ChangesOf(const v1::BitSuggestion& suggestion) {
  std::vector<int> changes;
  for (const v1::UnitBits& unit : suggestion.units()) {
    changes.push_back(unit.change());
  }
  return changes;
}

TEST(BitSuggestionTest, BitsGoFromWhatHurtsLittleToWhatHurtsMuch) {
  const v1::BitSuggestion suggestion =
      Suggest({{"a", 100, 4.25, 0.2}, {"b", 100, 4.25, 0.001}});
  EXPECT_THAT(ChangesOf(suggestion), ElementsAre(2, -2));
  EXPECT_EQ(suggestion.units(0).name(), "a");
  EXPECT_EQ(suggestion.units(0).suggested_bits_per_weight(), 6.25);
  EXPECT_DOUBLE_EQ(suggestion.bits_per_weight(), 4.25);
  EXPECT_DOUBLE_EQ(suggestion.suggested_bits_per_weight(), 4.25);
  EXPECT_DOUBLE_EQ(suggestion.kl(), 0.201);
  EXPECT_DOUBLE_EQ(suggestion.predicted_kl(), 0.2 / 16 + 0.001 * 16);
}

TEST(BitSuggestionTest, EqualUnitsStayAsTheyAre) {
  const v1::BitSuggestion suggestion =
      Suggest({{"a", 10, 3, 0.1}, {"b", 10, 3, 0.1}, {"c", 10, 3, 0.1}});
  EXPECT_THAT(ChangesOf(suggestion), ElementsAre(0, 0, 0));
  EXPECT_EQ(suggestion.predicted_kl(), suggestion.kl());
}

TEST(BitSuggestionTest, NoUnitFallsBelowOneBit) {
  const v1::BitSuggestion suggestion =
      Suggest({{"a", 10, 2.1, 1}, {"b", 10, 1.5, 0}, {"c", 10, 2, 0}});
  EXPECT_THAT(ChangesOf(suggestion), ElementsAre(1, 0, -1));
}

TEST(BitSuggestionTest, OneUnitHasNobodyToTakeFrom) {
  EXPECT_THAT(ChangesOf(Suggest({{"a", 10, 4, 1}})), ElementsAre(0));
  EXPECT_EQ(Suggest({}).units_size(), 0);
}

TEST(BitSuggestionTest, UnitsOfUnequalSizeKeepTheMeanOrFallBelowIt) {
  const v1::BitSuggestion suggestion =
      Suggest({{"a", 300, 4, 0.3}, {"b", 100, 4, 0.01}, {"c", 100, 4, 0.001}});
  EXPECT_LE(suggestion.suggested_bits_per_weight(), 4);
  EXPECT_LE(suggestion.predicted_kl(), suggestion.kl());
}

TEST(BitSuggestionTest, ABudgetIsMetAndSpent) {
  const std::vector<UnitCost> units = {
      {"a", 100, 4.25, 0.2}, {"b", 100, 4.25, 0.05}, {"c", 200, 4.25, 0.001}};
  double last = 1e9;
  for (const double target : {2.25, 2.5, 3.0, 4.25, 5.0, 5.75, 6.25}) {
    const v1::BitSuggestion suggestion = Suggest(units, target);
    EXPECT_EQ(suggestion.target_bits_per_weight(), target);
    EXPECT_DOUBLE_EQ(suggestion.bits_per_weight(), 4.25);
    EXPECT_LE(suggestion.suggested_bits_per_weight(), target);
    // What is left does not pay for another bit of the smallest unit.
    EXPECT_GT(suggestion.suggested_bits_per_weight(), target - 0.5);
    EXPECT_LT(suggestion.predicted_kl(), last) << target;
    last = suggestion.predicted_kl();
  }
  EXPECT_THAT(ChangesOf(Suggest(units, 2.25)), ElementsAre(-2, -2, -2));
  EXPECT_THAT(ChangesOf(Suggest(units, 6.25)), ElementsAre(2, 2, 2));
  // The mean of now as a number is what 0 stands for.
  EXPECT_EQ(ChangesOf(Suggest(units, 4.25)), ChangesOf(Suggest(units)));
  EXPECT_EQ(Suggest(units).target_bits_per_weight(), 0);
}

TEST(BitSuggestionTest, FewerBitsAreTakenWhereTheyHurtLeast) {
  const std::vector<UnitCost> units = {{"a", 10, 4, 0.4}, {"b", 10, 4, 0.01}};
  EXPECT_THAT(ChangesOf(Suggest(units, 3)), ElementsAre(0, -2));
  EXPECT_THAT(ChangesOf(Suggest(units, 5)), ElementsAre(2, 0));
  EXPECT_GT(Suggest(units, 3).predicted_kl(), Suggest(units, 3).kl());
}

TEST(BitSuggestionTest, UnitsStayWithinWhatTheirMethodAllows) {
  std::vector<UnitCost> units = {{"a", 10, 2.25, 1}, {"b", 10, 8.25, 0.001}};
  units[0].changes = {0, 1};
  units[1].changes = {-1, 0};
  EXPECT_THAT(ChangesOf(Suggest(units)), ElementsAre(1, -1));
  EXPECT_THAT(ChangesOf(Suggest(units, 5.75)), ElementsAre(1, 0));
  // What a method allows beyond kMaxBitChange does not count.
  units[0].changes = {0, 6};
  EXPECT_THAT(ChangesOf(Suggest(units, 6.25)), ElementsAre(2, 0));
}

TEST(BitSuggestionTest, TargetsOutOfReachAreRefusedWithWhatIsInReach) {
  const std::vector<UnitCost> units = {{"a", 300, 4.25, 0.2},
                                       {"b", 100, 2.25, 0.1}};
  // b keeps a bit: (300 x 2.25 + 100 x 1.25) / 400; 3.75 now, 5.75 at most.
  for (const double target : {0.5, 1.99, 5.76, 9.0, 1e300, std::nan("")}) {
    EXPECT_THAT(SuggestBits(units, target).status(),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("3.75 bits per weight now"),
                               HasSubstr("can take 2 to 5.75"))))
        << target;
    EXPECT_FALSE(CheckTargetBits(units, target).ok()) << target;
  }
  for (const double target : {0.0, 2.0, 5.75}) {
    EXPECT_THAT(CheckTargetBits(units, target), IsOk());
    EXPECT_THAT(SuggestBits(units, target), IsOk());
  }
  EXPECT_THAT(SuggestBits({}, 3).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("nothing of the target is compressed")));
}

// A large unit that lost a bit may be too large to get it back from what the
// small ones leave: then bits are only given.
TEST(BitSuggestionTest, MoreBitsNeverPredictMoreKl) {
  std::mt19937_64 engine(5);
  std::exponential_distribution<double> kl(1);
  std::uniform_int_distribution<uint64_t> size(1, 100);
  for (int round = 0; round < 200; ++round) {
    std::vector<UnitCost> units;
    for (int u = 0; u < 5; ++u) {
      units.push_back({"u", size(engine), 3.5, kl(engine)});
    }
    for (const double more : {0.0, 0.1, 0.7, 1.3, 2.0}) {
      const v1::BitSuggestion suggestion = Suggest(units, 3.5 + more);
      EXPECT_LE(suggestion.predicted_kl(), suggestion.kl());
      EXPECT_LE(suggestion.suggested_bits_per_weight(), 3.5 + more + 1e-12);
    }
  }
}

// Against all changes that meet a budget, for units of one size.
TEST(BitSuggestionTest, GreedyIsTheBestForUnitsOfOneSize) {
  std::mt19937_64 engine(3);
  std::exponential_distribution<double> kl(1);
  for (int round = 0; round < 50; ++round) {
    std::vector<UnitCost> units;
    for (int u = 0; u < 4; ++u) units.push_back({"u", 64, 4, kl(engine)});
    for (const int budget : {-6, -1, 0, 3}) {
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
        if (sum <= budget) best = std::min(best, total);
      }
      EXPECT_NEAR(Suggest(units, 4 + budget / 4.0).predicted_kl(), best, 1e-12);
    }
  }
}

}  // namespace
}  // namespace quantd
