#include "kernels/hadamard.h"

#include <cmath>
#include <random>
#include <vector>

#include "gmock/gmock.h"

namespace quantd {
namespace {

// Row i is e_i H / sqrt(n).
std::vector<std::vector<double>> Dense(const HadamardTransform& h) {
  const size_t n = static_cast<size_t>(h.order());
  std::vector<std::vector<double>> rows(n, std::vector<double>(n, 0.0));
  for (size_t i = 0; i < n; ++i) {
    rows[i][i] = 1;
    h.Apply(rows[i].data());
  }
  return rows;
}

TEST(HadamardTest, EntriesAreSignsAndRowsAreOrthonormal) {
  for (int64_t n : {1,  2,  4,  8,  12, 20,  24,  28,  36,  40,  44,  60,
                    68, 76, 84, 88, 96, 108, 124, 140, 148, 200, 256, 704}) {
    const auto h = HadamardTransform::Make(n);
    ASSERT_TRUE(h.has_value()) << n;
    ASSERT_EQ(h->order(), n);
    const auto rows = Dense(*h);
    for (size_t i = 0; i < rows.size(); ++i) {
      for (size_t j = 0; j < rows.size(); ++j) {
        ASSERT_NEAR(std::abs(rows[i][j]) * std::sqrt(static_cast<double>(n)),
                    1.0, 1e-12);
      }
      for (size_t k = 0; k <= i; ++k) {
        double product = 0;
        for (size_t j = 0; j < rows.size(); ++j) {
          product += rows[i][j] * rows[k][j];
        }
        ASSERT_NEAR(product, i == k ? 1.0 : 0.0, 1e-12) << n;
      }
    }
  }
}

TEST(HadamardTest, LargeOrdersComeBackToTheInputAndKeepItsNorm) {
  std::mt19937_64 engine(1);
  for (int64_t n : {5632, 6912, 14336, 18944, 32768}) {
    const auto h = HadamardTransform::Make(n);
    ASSERT_TRUE(h.has_value()) << n;
    std::vector<double> x(static_cast<size_t>(n));
    double norm = 0;
    for (double& v : x) {
      v = static_cast<double>(engine() >> 11) * 0x1p-52 - 1.0;
      norm += v * v;
    }
    std::vector<double> y = x;
    h->Apply(y.data());
    double turned = 0;
    for (double v : y) turned += v * v;
    EXPECT_NEAR(turned / norm, 1.0, 1e-12);
    h->ApplyTransposed(y.data());
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(y[i], x[i], 1e-12) << n;
  }
}

// The matrices are part of stored layouts: these signs never change.
TEST(HadamardTest, MatricesAreGolden) {
  const auto signs = [](int64_t n, size_t row) {
    std::string text;
    const auto rows = Dense(*HadamardTransform::Make(n));
    for (double v : rows[row]) {
      text += v > 0 ? '+' : '-';
    }
    return text;
  };
  EXPECT_EQ(signs(8, 3), "+--++--+");
  // Squares modulo 11 are 1, 3, 4, 5, 9.
  EXPECT_EQ(signs(12, 0), "++++++++++++");
  EXPECT_EQ(signs(12, 1), "-+-+---+++-+");
  EXPECT_EQ(signs(12, 2), "-++-+---+++-");
  // The Kronecker factor of the base comes first.
  EXPECT_EQ(signs(24, 3), "-++--++--+-+-++-+-+--++-");
  // Squares modulo 13 are 1, 3, 4, 9, 10, 12.
  EXPECT_EQ(signs(28, 0), "+-++++++++++++++++++++++++++");
  EXPECT_EQ(signs(28, 3), "+---+--++-+--+-+-+-++-+--++-");
}

TEST(HadamardTest, OrdersWithoutAConstructionAreUnknown) {
  for (int64_t n : {-4, 0, 3, 6, 10, 52, 92, 172, 688, 11008}) {
    EXPECT_FALSE(HadamardTransform::Known(n)) << n;
    EXPECT_FALSE(HadamardTransform::Make(n).has_value());
  }
  EXPECT_EQ(HadamardTransform::LargestKnownDivisor(704), 704);
  EXPECT_EQ(HadamardTransform::LargestKnownDivisor(688), 16);
  EXPECT_EQ(HadamardTransform::LargestKnownDivisor(11008), 256);
  EXPECT_EQ(HadamardTransform::LargestKnownDivisor(5 * 688), 80);
  EXPECT_EQ(HadamardTransform::LargestKnownDivisor(7), 1);
}

}  // namespace
}  // namespace quantd
