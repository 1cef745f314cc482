#include "client/human_text.h"

#include <cmath>

#include "gtest/gtest.h"

namespace quantd::test {
namespace {

TEST(HumanTextTest, Bytes) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1024), "1.0 KiB");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(1024 * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(HumanBytes(uint64_t{14} << 30), "14.0 GiB");
  EXPECT_EQ(HumanBytes(UINT64_MAX), "16.0 EiB");
}

TEST(HumanTextTest, Counts) {
  EXPECT_EQ(HumanCount(999), "999");
  EXPECT_EQ(HumanCount(7241728), "7.2 M");
  EXPECT_EQ(HumanCount(6738415616), "6.7 B");
  EXPECT_EQ(HumanCount(999999), "1.0 M");
}

TEST(HumanTextTest, Durations) {
  EXPECT_EQ(HumanSeconds(0.04), "0.0 s");
  EXPECT_EQ(HumanSeconds(0.36), "0.4 s");
  EXPECT_EQ(HumanSeconds(9.99), "10 s");
  EXPECT_EQ(HumanSeconds(59.4), "59 s");
  EXPECT_EQ(HumanSeconds(59.6), "1 m 00 s");
  EXPECT_EQ(HumanSeconds(185), "3 m 05 s");
  EXPECT_EQ(HumanSeconds(7620), "2 h 07 m");
  EXPECT_EQ(HumanSeconds(-1), "-");
  EXPECT_EQ(HumanSeconds(std::nan("")), "-");
}

TEST(HumanTextTest, Numbers) {
  EXPECT_EQ(HumanNumber(120.33961), "120.3396");
  EXPECT_EQ(HumanNumber(120.33961, 1.02), "120.3396 +/- 1.0200");
  EXPECT_EQ(HumanNumber(12345678.0), "1.2346e+07");
  EXPECT_EQ(HumanBits(3.5), "3.50");
  EXPECT_EQ(HumanBits(0), "-");
}

TEST(HumanTextTest, Times) {
  google::protobuf::Timestamp time;
  EXPECT_EQ(HumanTime(time), "-");
  time.set_seconds(1700000000);
  EXPECT_EQ(HumanTime(time).size(), 19u);
}

}  // namespace
}  // namespace quantd::test
