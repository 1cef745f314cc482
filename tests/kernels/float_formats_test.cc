#include "kernels/float_formats.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "gtest/gtest.h"

namespace quantd {
namespace {

// The value of a binary16 pattern from its definition.
double HalfByDefinition(uint16_t bits) {
  const int sign = (bits >> 15) != 0 ? -1 : 1;
  const int exponent = (bits >> 10) & 31;
  const int mantissa = bits & 1023;
  if (exponent == 31) {
    return mantissa != 0 ? std::nan("")
                         : sign * std::numeric_limits<double>::infinity();
  }
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(FloatFormatsTest, EveryHalfPatternHasItsDefinedValueAndRoundTrips) {
  for (uint32_t i = 0; i <= 0xFFFF; ++i) {
    const uint16_t bits = static_cast<uint16_t>(i);
    const float value = F16ToF32(bits);
    const double expected = HalfByDefinition(bits);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value));
      EXPECT_TRUE(std::isnan(F16ToF32(F32ToF16(value))));
    } else {
      ASSERT_EQ(value, expected) << bits;
      ASSERT_EQ(F32ToF16(value), bits);
    }
  }
}

TEST(FloatFormatsTest, NarrowingToHalfPicksTheNearestTiesToEven) {
  for (uint32_t i = 0; i < 0x7C00; ++i) {
    // Between pattern i and the next one; the step after the last finite
    // value rounds to infinity from half way on.
    const double low = HalfByDefinition(static_cast<uint16_t>(i));
    const double high = i + 1 == 0x7C00
                            ? 65536.0
                            : HalfByDefinition(static_cast<uint16_t>(i + 1));
    const float middle = static_cast<float>((low + high) / 2);
    const uint16_t even = static_cast<uint16_t>(i % 2 == 0 ? i : i + 1);
    ASSERT_EQ(F32ToF16(middle), even) << i;
    ASSERT_EQ(F32ToF16(std::nextafter(middle, 0.0f)), i);
    ASSERT_EQ(F32ToF16(std::nextafter(middle, 1e9f)), i + 1);
    ASSERT_EQ(F32ToF16(-middle), even | 0x8000);
  }
  EXPECT_EQ(F32ToF16(1e30f), 0x7C00);
}

TEST(FloatFormatsTest, BFloat16RoundsToNearestEven) {
  EXPECT_EQ(F32ToBF16(1.0f), 0x3F80);
  EXPECT_EQ(F32ToBF16(1.00390625f), 0x3F80);  // half way, even below
  EXPECT_EQ(F32ToBF16(1.01171875f), 0x3F82);  // half way, even above
  EXPECT_EQ(F32ToBF16(std::nextafter(1.00390625f, 2.0f)), 0x3F81);
  EXPECT_TRUE(std::isnan(BF16ToF32(F32ToBF16(NAN))));
  EXPECT_EQ(F32ToBF16(std::numeric_limits<float>::max()), 0x7F80);
  for (uint32_t i = 0; i <= 0xFFFF; ++i) {
    const float value = BF16ToF32(static_cast<uint16_t>(i));
    if (!std::isnan(value)) {
      ASSERT_EQ(F32ToBF16(value), i);
    }
  }
}

TEST(FloatFormatsTest, ArrayConversionAcceptsMisalignedSources) {
  const uint16_t halves[] = {0x3C00, 0xC000, 0x0001, 0x7BFF};
  char buffer[9];
  std::memcpy(buffer + 1, halves, sizeof(halves));
  float out[4];
  ConvertF16ToF32(buffer + 1, out, 4);
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[1], -2.0f);
  EXPECT_EQ(out[2], 0x1p-24f);
  EXPECT_EQ(out[3], 65504.0f);
  const uint16_t brain[] = {0x3F80, 0xC000};
  std::memcpy(buffer + 1, brain, sizeof(brain));
  ConvertBF16ToF32(buffer + 1, out, 2);
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[1], -2.0f);
}

}  // namespace
}  // namespace quantd
