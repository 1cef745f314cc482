#include "quantizers/rotation.h"

#include <cmath>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

// Q, one row after the other.
std::vector<double> Dense(const Rotation& rotation) {
  const int64_t n = rotation.size();
  std::vector<double> q(static_cast<size_t>(n * n), 0.0);
  for (int64_t i = 0; i < n; ++i) q[static_cast<size_t>(i * n + i)] = 1;
  rotation.Apply(q.data(), n);
  return q;
}

double LargestDeviationFromOrthogonality(const Rotation& rotation) {
  const std::vector<double> q = Dense(rotation);
  const size_t n = static_cast<size_t>(rotation.size());
  double largest = 0;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      double product = 0;
      for (size_t k = 0; k < n; ++k) product += q[k * n + i] * q[k * n + j];
      largest = std::max(largest, std::abs(product - (i == j ? 1.0 : 0.0)));
    }
  }
  return largest;
}

TEST(RotationTest, MatricesAreOrthogonalToTwelveDigits) {
  for (int64_t n : {1, 7, 12, 43, 64, 88, 256}) {
    for (RotationKind kind : {RotationKind::kAny, RotationKind::kOrthogonal}) {
      ASSERT_OK_AND_ASSIGN(const Rotation rotation,
                           Rotation::Random(n, kind, 3));
      EXPECT_LT(LargestDeviationFromOrthogonality(rotation), 1e-12) << n;
      EXPECT_EQ(rotation.is_hadamard(),
                kind == RotationKind::kAny && HadamardTransform::Known(n));
    }
  }
}

TEST(RotationTest, SeedsDecide) {
  for (RotationKind kind :
       {RotationKind::kHadamard, RotationKind::kOrthogonal}) {
    const auto dense = [&](uint64_t seed) {
      return Dense(*Rotation::Random(28, kind, seed));
    };
    EXPECT_EQ(dense(1), dense(1));
    EXPECT_NE(dense(1), dense(2));
  }
}

TEST(RotationTest, SizesWithoutHadamardMatrixAreRefusedWhenOneIsAskedFor) {
  EXPECT_THAT(Rotation::Random(43, RotationKind::kHadamard, 0),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no Hadamard matrix of order 43")));
  EXPECT_THAT(Rotation::Random(43, RotationKind::kAny, 0), IsOk());
}

TEST(RotationTest, RowsAndColumnsAreProductsWithTheMatrix) {
  const std::unique_ptr<Device> device = NewCpuDevice(2);
  ExecutionContext ctx(device.get());
  std::mt19937_64 engine(4);
  for (int64_t n : {12, 43}) {
    const Rotation rotation = *Rotation::Random(n, RotationKind::kAny, 9);
    const std::vector<double> q = Dense(rotation);
    const int64_t other = 37;
    Tensor rows = Tensor::Uninitialized({other, n});
    Tensor columns = Tensor::Uninitialized({n, other});
    std::vector<float> gains;
    for (float& v : rows.values()) v = static_cast<float>(engine() % 100) - 50;
    for (float& v : columns.values()) {
      v = static_cast<float>(engine() % 100) - 50;
    }
    for (int64_t i = 0; i < n; ++i) {
      gains.push_back(static_cast<float>(engine() % 10));
    }
    const Tensor by_rows = rotation.RotateRows(rows, gains, ctx);
    const Tensor by_columns = rotation.RotateColumns(columns, ctx);
    for (int64_t r = 0; r < other; ++r) {
      for (int64_t c = 0; c < n; ++c) {
        double expected_row = 0;
        double expected_column = 0;
        for (int64_t k = 0; k < n; ++k) {
          const double entry = q[static_cast<size_t>(k * n + c)];
          expected_row +=
              double{rows.row(r)[k]} * gains[static_cast<size_t>(k)] * entry;
          expected_column += entry * columns.row(k)[r];
        }
        ASSERT_NEAR(by_rows.row(r)[c], expected_row, 1e-3);
        ASSERT_NEAR(by_columns.row(c)[r], expected_column, 1e-3);
      }
    }
  }
}

}  // namespace
}  // namespace quantd
