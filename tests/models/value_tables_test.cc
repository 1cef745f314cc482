#include "models/layouts/value_tables.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "kernels/float_formats.h"

namespace quantd {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

// The x with Phi(x) = p, by bisection of the complementary error function.
double NormalQuantile(double p) {
  double low = -10;
  double high = 10;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < p ? low : high) = middle;
  }
  return (low + high) / 2;
}

// arXiv:2305.14314: evenly spaced quantiles of both halves, one more on the
// positive side, joined at zero.
std::vector<double> NormalFloatByFormula(int bits) {
  const double codes = 1 << bits;
  const double p = 1 - (1 / (2 * codes) + 1 / (2 * (codes - 1))) / 2;
  const int half = 1 << (bits - 1);
  std::vector<double> values = {0};
  for (int i = 0; i < half; ++i) {
    values.push_back(NormalQuantile(p + (0.5 - p) * i / half));
  }
  for (int i = 0; i < half - 1; ++i) {
    values.push_back(-NormalQuantile(p + (0.5 - p) * i / (half - 1)));
  }
  std::sort(values.begin(), values.end());
  const double most = values.back();
  for (double& v : values) v /= most;
  return values;
}

TEST(ValueTablesTest, NormalFloatFollowsItsFormula) {
  for (int bits = 2; bits <= 4; ++bits) {
    const std::vector<float> table =
        StandardValues("nf" + std::to_string(bits));
    const std::vector<double> expected = NormalFloatByFormula(bits);
    ASSERT_EQ(table.size(), size_t{1} << bits);
    for (size_t i = 0; i < table.size(); ++i) {
      // The published table was made with the quantile's bound rounded to
      // 0.9677083.
      EXPECT_NEAR(table[i], expected[i], 4e-7) << bits << " " << i;
    }
  }
}

TEST(ValueTablesTest, NormalFloat4IsThePublishedTable) {
  // arXiv:2305.14314, appendix E.
  EXPECT_THAT(StandardValues("nf4"),
              ElementsAre(-1.0f, -0.6961928009986877f, -0.5250730514526367f,
                          -0.39491748809814453f, -0.28444138169288635f,
                          -0.18477343022823334f, -0.09105003625154495f, 0.0f,
                          0.07958029955625534f, 0.16093020141124725f,
                          0.24611230194568634f, 0.33791524171829224f,
                          0.44070982933044434f, 0.5626170039176941f,
                          0.7229568362236023f, 1.0f));
}

TEST(ValueTablesTest, E3M2HasThePublishedValues) {
  const std::vector<float> table = StandardValues("e3m2");
  ASSERT_EQ(table.size(), 64u);
  EXPECT_THAT(std::vector<float>(table.begin(), table.begin() + 32),
              ElementsAreArray(
                  {0.0f, .0625f, .125f, .1875f, .25f,  .3125f, .375f, .4375f,
                   .5f,  .625f,  .75f,  .875f,  1.0f,  1.25f,  1.5f,  1.75f,
                   2.0f, 2.5f,   3.0f,  3.5f,   4.0f,  5.0f,   6.0f,  7.0f,
                   8.0f, 10.0f,  12.0f, 14.0f,  16.0f, 20.0f,  24.0f, 28.0f}));
  for (size_t code = 0; code < 32; ++code) {
    EXPECT_EQ(table[code + 32], -table[code]);
    EXPECT_TRUE(std::signbit(table[code + 32]));
  }
}

TEST(ValueTablesTest, E2M1HasThePublishedValues) {
  EXPECT_THAT(
      StandardValues("e2m1"),
      ElementsAreArray({0.0f, .5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f, -0.0f,
                        -.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f}));
}

// How kernels decode: the code's bits moved into a binary16 number that is
// 2^-12 of the value, subnormals included.
TEST(ValueTablesTest, E3M2EqualsTheBiasShiftOfItsKernels) {
  const std::vector<float> table = StandardValues("e3m2");
  for (uint32_t code = 0; code < 64; ++code) {
    const uint16_t shifted =
        static_cast<uint16_t>((code & 32) << 10 | (code & 31) << 8);
    EXPECT_EQ(F16ToF32(shifted) * 4096.0f, table[code]) << code;
  }
}

TEST(ValueTablesTest, FloatFormatsAscendWithTheirMagnitude) {
  for (int x = 1; x <= 5; ++x) {
    for (int y = 0; 1 + x + y <= 8; ++y) {
      const FloatFormat format = {x, y};
      const std::vector<float> table = StandardValues(FloatFormatName(format));
      ASSERT_EQ(table.size(), size_t{1} << format.bits());
      EXPECT_EQ(table, FloatFormatValues(format));
      EXPECT_EQ(table[0], 0.0f);
      for (size_t code = 1; code < table.size() / 2; ++code) {
        EXPECT_GT(table[code], table[code - 1]);
        EXPECT_LE(table[code], 31.0f);
      }
    }
  }
}

TEST(ValueTablesTest, OtherNamesHaveNoTable) {
  for (const char* name : {"", "nf5", "nf1", "e0m3", "e6m1", "e5m3", "e2m",
                           "e2m9", "e2m1 ", "E2M1", "int4", "e-m1", "emmm"}) {
    EXPECT_THAT(StandardValues(name), IsEmpty()) << name;
  }
}

}  // namespace
}  // namespace quantd
