#include "quantizers/second_moment.h"

#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

SquareMatrix Matrix(int64_t n, std::vector<double> values) {
  SquareMatrix m(n);
  m.values = std::move(values);
  return m;
}

absl::StatusOr<InverseFactor> Factor(const SquareMatrix& h, double damping,
                                     absl::Span<const int64_t> order = {}) {
  const auto device = NewCpuDevice(2);
  ExecutionContext ctx(device.get());
  return FactorDampedInverse(h, damping, order, ctx);
}

// U^T U.
SquareMatrix GramOf(const SquareMatrix& u) {
  SquareMatrix g(u.n);
  for (int64_t i = 0; i < u.n; ++i) {
    for (int64_t j = 0; j < u.n; ++j) {
      for (int64_t k = 0; k < u.n; ++k) g.at(i, j) += u.at(k, i) * u.at(k, j);
    }
  }
  return g;
}

TEST(SecondMomentTest, IsTwiceTheMeanOverSequences) {
  auto device = NewCpuDevice(1);
  ExecutionContext ctx(device.get());
  SecondMomentAccumulator accumulator(2);
  accumulator.Add(Tensor::FromValues({2, 2}, {1, 2, 3, 4}), 1, ctx);
  accumulator.Add(Tensor::FromValues({2, 2}, {0, 1, 1, 0}), 1, ctx);
  const SquareMatrix h = std::move(accumulator).Finish();
  // X^T X = [[10, 14], [14, 20]] and [[1, 0], [0, 1]].
  EXPECT_DOUBLE_EQ(h.at(0, 0), 11);
  EXPECT_DOUBLE_EQ(h.at(0, 1), 14);
  EXPECT_DOUBLE_EQ(h.at(1, 1), 21);
}

TEST(SecondMomentTest, FactorOfTheGoldenMatrix) {
  const SquareMatrix h = Matrix(3, {2, 1, .5, 1, 2, 1, .5, 1, 2});
  ASSERT_OK_AND_ASSIGN(const InverseFactor f, Factor(h, 0));
  const double expected[] = {0.816497,  -0.408248, 0, 0,       0.816497,
                             -0.408248, 0,         0, 0.707107};
  for (int i = 0; i < 9; ++i) {
    EXPECT_NEAR(f.upper.values[static_cast<size_t>(i)], expected[i], 1e-6);
  }
  EXPECT_EQ(f.retries, 0);
}

TEST(SecondMomentTest, FactorReproducesTheInverseOfTheDampedMatrix) {
  const SquareMatrix h = Matrix(3, {4, 1, 0, 1, 3, 1, 0, 1, 5});
  ASSERT_OK_AND_ASSIGN(const InverseFactor f, Factor(h, 0.25));
  const SquareMatrix inverse = GramOf(f.upper);
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t j = 0; j < 3; ++j) {
      double product = 0;
      for (int64_t k = 0; k < 3; ++k) {
        const double damped = h.at(i, k) + (i == k ? 0.25 * 4.0 : 0.0);
        product += damped * inverse.at(k, j);
      }
      EXPECT_NEAR(product, i == j ? 1 : 0, 1e-12);
    }
  }
}

TEST(SecondMomentTest, IndefiniteMatrixClimbsTheLadderFromTheSavedMatrix) {
  // Eigenvalues 2.02 and -0.02: definite once more than 2 % is added.
  const SquareMatrix h = Matrix(2, {1, 1.02, 1.02, 1});
  ASSERT_OK_AND_ASSIGN(const InverseFactor f, Factor(h, 0.01));
  EXPECT_EQ(f.retries, 7);
  EXPECT_NEAR(f.damping, 0.01 + 7 * 0.0015, 1e-12);
  ASSERT_OK_AND_ASSIGN(const InverseFactor direct, Factor(h, f.damping));
  EXPECT_EQ(f.upper.values, direct.upper.values);
}

TEST(SecondMomentTest, OrderAndDeadInputsAreThoseOfThePermutedMatrix) {
  const SquareMatrix h = Matrix(3, {4, 0, 1, 0, 0, 0, 1, 0, 5});
  const SquareMatrix permuted = Matrix(3, {5, 1, 0, 1, 4, 0, 0, 0, 1});
  ASSERT_OK_AND_ASSIGN(const InverseFactor f, Factor(h, 0.1, {2, 0, 1}));
  ASSERT_OK_AND_ASSIGN(const InverseFactor expected, Factor(permuted, 0.1));
  EXPECT_THAT(f.upper.values, testing::Pointwise(testing::DoubleNear(1e-14),
                                                 expected.upper.values));
}

TEST(SecondMomentTest, HopelessMatricesAreErrors) {
  EXPECT_THAT(Factor(Matrix(2, {1, 5, 5, 1}), 0.01),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("indefinite")));
  EXPECT_THAT(
      Factor(Matrix(1, {std::numeric_limits<double>::quiet_NaN()}), 0.01),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("NaN")));
}

}  // namespace
}  // namespace quantd
