#include "quantizers/value_set.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "models/layouts/value_tables.h"

namespace quantd {
namespace {

double Uniform(std::mt19937_64& engine, double low, double high) {
  return low + (high - low) * static_cast<double>(engine() >> 11) * 0x1p-53;
}

TEST(ValueSetTest, NearestIsThatOfASearchOverTheWholeTable) {
  std::mt19937_64 engine(1);
  for (const char* name : {"e3m2", "e2m1", "e4m3", "e1m2", "e3m0", "nf4"}) {
    const std::vector<float> table = StandardValues(name);
    const ValueSet set(table);
    const double reach = *std::max_element(table.begin(), table.end());
    for (int i = 0; i < 100000; ++i) {
      // Some beyond the ends, and as many near zero as elsewhere.
      double x = Uniform(engine, -1.1 * reach, 1.1 * reach);
      if (i % 2 == 0) x *= Uniform(engine, 0, 0.05);
      double least = std::numeric_limits<double>::infinity();
      for (const float v : table) least = std::min(least, std::abs(x - v));
      ASSERT_EQ(std::abs(x - set.value(set.Encode(x))), least)
          << name << " " << x;
    }
  }
}

TEST(ValueSetTest, EveryCodeButMinusZeroIsItsOwnNearest) {
  for (const char* name : {"e3m2", "e2m1", "e5m2", "nf2", "nf3", "nf4"}) {
    const ValueSet set(StandardValues(name));
    for (size_t code = 0; code < set.values().size(); ++code) {
      const float value = set.value(static_cast<int>(code));
      const int expected =
          value == 0 && std::signbit(value) ? 0 : static_cast<int>(code);
      EXPECT_EQ(set.Encode(value), expected) << name;
    }
  }
}

TEST(ValueSetTest, RoundsInSubnormalsAndCarriesIntoTheNextBinade) {
  const ValueSet set(StandardValues("e3m2"));
  EXPECT_EQ(set.value(set.Encode(7.6)), 8.0f);
  EXPECT_EQ(set.value(set.Encode(7.4)), 7.0f);
  EXPECT_EQ(set.value(set.Encode(0.04)), 0.0625f);
  EXPECT_EQ(set.value(set.Encode(-0.03)), 0.0f);
  EXPECT_EQ(set.value(set.Encode(0.23)), 0.25f);
  EXPECT_EQ(set.value(set.Encode(29.9)), 28.0f);
  EXPECT_EQ(set.value(set.Encode(-1e30)), -28.0f);
  EXPECT_EQ(set.value(set.Encode(-std::numeric_limits<double>::infinity())),
            -28.0f);
  EXPECT_TRUE(std::isfinite(
      set.value(set.Encode(std::numeric_limits<double>::quiet_NaN()))));
}

TEST(ValueSetTest, HalfwayTheEvenCodeWins) {
  const ValueSet floats(StandardValues("e3m2"));
  EXPECT_EQ(floats.value(floats.Encode(7.5)), 8.0f);    // mantissa 3 and 0
  EXPECT_EQ(floats.value(floats.Encode(1.125)), 1.0f);  // 0 and 1
  EXPECT_EQ(floats.value(floats.Encode(-1.375)), -1.5f);
  EXPECT_EQ(floats.value(floats.Encode(0.03125)), 0.0f);
  EXPECT_EQ(floats.value(floats.Encode(-0.03125)), 0.0f);
  // Integers: as nearbyint.
  std::vector<float> integers;
  for (int i = -8; i < 8; ++i) integers.push_back(static_cast<float>(i));
  const ValueSet set(integers);
  for (double x = -8; x <= 7; x += 0.25) {
    EXPECT_EQ(set.value(set.Encode(x)), std::nearbyint(x)) << x;
  }
}

TEST(ValueSetTest, ThresholdsOfOnesOwnDecide) {
  const ValueSet set({-1.0f, 0.0f, 4.0f}, {-0.9, 3.0});
  EXPECT_EQ(set.Encode(-0.95), 0);
  EXPECT_EQ(set.Encode(-0.85), 1);
  EXPECT_EQ(set.Encode(2.9), 1);
  EXPECT_EQ(set.Encode(3.0), 2);  // halfway, even
  EXPECT_EQ(set.Encode(-0.9), 0);
}

}  // namespace
}  // namespace quantd
