#include "quantizers/thin_svd.h"

#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;

Tensor Noise(int64_t rows, int64_t cols, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> normal;
  Tensor t = Tensor::Uninitialized({rows, cols});
  for (float& v : t.values()) v = static_cast<float>(normal(engine));
  return t;
}

// sum of squares of A - U_m S_m V_m^T.
double ResidueEnergy(const Tensor& a, const ThinSvd& svd, int64_t m) {
  double sum = 0;
  for (int64_t r = 0; r < a.rows(); ++r) {
    for (int64_t c = 0; c < a.cols(); ++c) {
      double d = a.row(r)[c];
      for (int64_t i = 0; i < m; ++i) {
        d -= svd.left[r * svd.rank + i] * svd.singular_values[i] *
             svd.right[i * a.cols() + c];
      }
      sum += d * d;
    }
  }
  return sum;
}

double Energy(const Tensor& a) {
  double sum = 0;
  for (float v : a.values()) sum += static_cast<double>(v) * v;
  return sum;
}

// Discrete cosine vectors: an orthonormal basis with a closed form.
double Cosine(int64_t n, int64_t k, int64_t i) {
  const double scale = k == 0 ? std::sqrt(1.0 / static_cast<double>(n))
                              : std::sqrt(2.0 / static_cast<double>(n));
  return scale * std::cos(M_PI * (static_cast<double>(i) + 0.5) *
                          static_cast<double>(k) / static_cast<double>(n));
}

Tensor WithSpectrum(int64_t rows, int64_t cols,
                    const std::vector<double>& sigma) {
  Tensor t = Tensor::Uninitialized({rows, cols});
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      double sum = 0;
      for (size_t k = 0; k < sigma.size(); ++k) {
        sum += sigma[k] * Cosine(rows, static_cast<int64_t>(k), r) *
               Cosine(cols, static_cast<int64_t>(k), c);
      }
      t.row(r)[c] = static_cast<float>(sum);
    }
  }
  return t;
}

class ThinSvdTest : public testing::Test {
 protected:
  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(ThinSvdTest, KnownSpectraComeBack) {
  const std::vector<double> sigma = {9, 5, 4.5, 2, 1, 0.5, 0.01};
  for (const auto& [rows, cols] : std::vector<std::pair<int64_t, int64_t>>{
           {40, 24}, {24, 40}, {7, 7}, {90, 130}}) {
    for (int64_t exact_extent : {512, 8}) {
      ThinSvdOptions options;
      options.exact_extent = exact_extent;
      options.oversampling = 4;
      ASSERT_OK_AND_ASSIGN(
          const ThinSvd svd,
          LeadingSvd(WithSpectrum(rows, cols, sigma), 7, options, ctx_));
      for (size_t i = 0; i < sigma.size(); ++i) {
        EXPECT_NEAR(svd.singular_values[i], sigma[i], 2e-6 * sigma[0])
            << rows << "x" << cols << " " << exact_extent;
      }
      // Fixed signs make the vectors comparable with the closed form.
      for (int64_t r = 0; r < rows; ++r) {
        EXPECT_NEAR(std::abs(svd.left[r * 7]), std::abs(Cosine(rows, 0, r)),
                    1e-5);
      }
    }
  }
}

TEST_F(ThinSvdTest, ResidueIsTheSumOfTheSquaresLeftOut) {
  const Tensor a = Noise(48, 31, 1);
  ASSERT_OK_AND_ASSIGN(const ThinSvd svd, LeadingSvd(a, 31, {}, ctx_));
  double previous = Energy(a);
  for (int64_t m = 1; m <= 31; ++m) {
    double left_out = 0;
    for (int64_t i = m; i < 31; ++i) {
      left_out += svd.singular_values[i] * svd.singular_values[i];
    }
    const double residue = ResidueEnergy(a, svd, m);
    EXPECT_NEAR(residue, left_out, 1e-6 * left_out + 1e-18 * Energy(a) + 1e-20);
    EXPECT_LT(residue, previous) << m;
    previous = residue;
  }
  EXPECT_LT(previous, 1e-20 * Energy(a)) << "full rank restores the matrix";
}

TEST_F(ThinSvdTest, VectorsAreOrthonormal) {
  for (int64_t exact_extent : {512, 8}) {
    ThinSvdOptions options;
    options.exact_extent = exact_extent;
    ASSERT_OK_AND_ASSIGN(const ThinSvd svd,
                         LeadingSvd(Noise(60, 80, 2), 9, options, ctx_));
    for (int64_t i = 0; i < 9; ++i) {
      for (int64_t j = 0; j < 9; ++j) {
        double left = 0;
        double right = 0;
        for (int64_t r = 0; r < 60; ++r) {
          left += svd.left[r * 9 + i] * svd.left[r * 9 + j];
        }
        for (int64_t c = 0; c < 80; ++c) {
          right += svd.right[i * 80 + c] * svd.right[j * 80 + c];
        }
        EXPECT_NEAR(left, i == j, 1e-10);
        EXPECT_NEAR(right, i == j, 1e-10);
      }
    }
  }
}

// Gaussian noise has no gap between its singular values: the worst case.
TEST_F(ThinSvdTest, RangeFinderComesWithinAPercentOfTheBestOnNoise) {
  const Tensor a = Noise(300, 220, 3);
  ThinSvdOptions options;
  options.exact_extent = 16;
  for (int64_t rank : {1, 8, 32}) {
    ASSERT_OK_AND_ASSIGN(const ThinSvd exact, LeadingSvd(a, rank, {}, ctx_));
    ASSERT_OK_AND_ASSIGN(const ThinSvd found,
                         LeadingSvd(a, rank, options, ctx_));
    const double best = Energy(a) - ResidueEnergy(a, exact, rank);
    EXPECT_GT(Energy(a) - ResidueEnergy(a, found, rank), 0.99 * best) << rank;
  }
}

TEST_F(ThinSvdTest, ResultDoesNotDependOnTheNumberOfThreads) {
  ThinSvdOptions options;
  options.exact_extent = 16;
  const Tensor a = Noise(150, 170, 4);
  std::vector<ThinSvd> results;
  for (int threads : {1, 4}) {
    const std::unique_ptr<Device> device = NewCpuDevice(threads);
    ExecutionContext ctx(device.get());
    ASSERT_OK_AND_ASSIGN(const ThinSvd svd, LeadingSvd(a, 8, options, ctx));
    results.push_back(svd);
  }
  EXPECT_EQ(results[0].left, results[1].left);
  EXPECT_EQ(results[0].right, results[1].right);
  EXPECT_EQ(results[0].singular_values, results[1].singular_values);
}

TEST_F(ThinSvdTest, ZeroAndRankDeficientMatricesHaveZeroValues) {
  ASSERT_OK_AND_ASSIGN(const ThinSvd zero,
                       LeadingSvd(Tensor::Zeros({6, 5}), 3, {}, ctx_));
  EXPECT_THAT(zero.singular_values, testing::Each(0.0));
  ThinSvdOptions options;
  options.exact_extent = 4;
  options.oversampling = 2;
  ASSERT_OK_AND_ASSIGN(const ThinSvd one,
                       LeadingSvd(WithSpectrum(30, 20, {3}), 4, options, ctx_));
  EXPECT_NEAR(one.singular_values[0], 3, 1e-5);
  EXPECT_NEAR(one.singular_values[1], 0, 1e-5);
  for (double v : one.left) EXPECT_TRUE(std::isfinite(v));
}

TEST_F(ThinSvdTest, WhatIsNotFiniteIsRefused) {
  Tensor a = Noise(4, 4, 5);
  a.row(2)[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(LeadingSvd(a, 2, {}, ctx_),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
  ctx_.RequestCancel();
  EXPECT_THAT(LeadingSvd(Noise(4, 4, 6), 2, {}, ctx_),
              StatusIs(absl::StatusCode::kCancelled, testing::_));
}

}  // namespace
}  // namespace quantd
