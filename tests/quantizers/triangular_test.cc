#include "quantizers/triangular.h"

#include <Eigen/Core>
#include <memory>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::_;

using Matrix =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Matrix PositiveDefinite(int64_t n, uint64_t seed) {
  std::mt19937_64 engine(seed);
  Matrix x(2 * n, n);
  for (int64_t i = 0; i < x.size(); ++i) {
    x.data()[i] = static_cast<double>(engine() >> 11) * 0x1p-52 - 1;
  }
  return x.transpose() * x;
}

// Sizes around the width of a block and of a piece.
class TriangularTest : public testing::TestWithParam<int64_t> {
 protected:
  static Matrix Factor(const Matrix& a, int threads) {
    const auto device = NewCpuDevice(threads);
    ExecutionContext ctx(device.get());
    Matrix l = a;
    l.triangularView<Eigen::StrictlyUpper>().setZero();
    const auto definite = CholeskyInPlace(a.rows(), l.data(), ctx);
    EXPECT_TRUE(definite.ok() && *definite);
    return l;
  }
  static Matrix Invert(Matrix l, int threads) {
    const auto device = NewCpuDevice(threads);
    ExecutionContext ctx(device.get());
    EXPECT_TRUE(InvertLowerInPlace(l.rows(), l.data(), ctx).ok());
    return l;
  }
};

TEST_P(TriangularTest, FactorAndInverseReproduceTheMatrix) {
  const int64_t n = GetParam();
  const Matrix a = PositiveDefinite(n, 1);
  const Matrix l = Factor(a, 2);
  EXPECT_LT((l * l.transpose() - a).cwiseAbs().maxCoeff(),
            1e-12 * a.cwiseAbs().maxCoeff());
  const Matrix inverse = Invert(l, 2);
  EXPECT_TRUE(inverse.isLowerTriangular(0));
  EXPECT_LT((inverse * l - Matrix::Identity(n, n)).cwiseAbs().maxCoeff(), 1e-9);
}

TEST_P(TriangularTest, ThreadsDoNotChangeABit) {
  const Matrix a = PositiveDefinite(GetParam(), 2);
  const Matrix one = Factor(a, 1);
  EXPECT_EQ(one, Factor(a, 4));
  EXPECT_EQ(Invert(one, 1), Invert(one, 4));
}

INSTANTIATE_TEST_SUITE_P(Sizes, TriangularTest,
                         testing::Values(1, 2, 63, 64, 65, 127, 128, 129, 300));

TEST(TriangularErrorTest, IndefiniteAndCancelledAreSaid) {
  const auto device = NewCpuDevice(1);
  ExecutionContext ctx(device.get());
  Matrix a = PositiveDefinite(200, 3);
  a(180, 180) = -1;
  ASSERT_OK_AND_ASSIGN(const bool definite,
                       CholeskyInPlace(200, a.data(), ctx));
  EXPECT_FALSE(definite);
  ctx.RequestCancel();
  EXPECT_THAT(CholeskyInPlace(200, a.data(), ctx),
              StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_THAT(InvertLowerInPlace(200, a.data(), ctx),
              StatusIs(absl::StatusCode::kCancelled, _));
}

}  // namespace
}  // namespace quantd
