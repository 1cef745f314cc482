#include "quantizers/column_sweep.h"

#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "quantizers/second_moment.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::_;

// q(w) = 0.5 * clamp(round(w / 0.5), -2, 1).
class HalfStepGrid final : public ColumnQuantizer<double> {
 public:
  void QuantizeColumn(int64_t column, int64_t row_begin, int64_t row_end,
                      const WorkingWeights<double>& weights,
                      double* quantized) override {
    for (int64_t r = row_begin; r < row_end; ++r) {
      quantized[r - row_begin] =
          0.5 *
          std::clamp(std::nearbyint(weights.row(r)[column] / 0.5), -2.0, 1.0);
    }
  }
};

SquareMatrix RandomSecondMoment(int64_t n, uint64_t seed) {
  std::mt19937_64 engine(seed);
  const int64_t rows = 3 * n;
  std::vector<double> x(static_cast<size_t>(rows * n));
  for (double& v : x) v = static_cast<double>(engine() >> 11) * 0x1p-52 - 1;
  SquareMatrix h(n);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        h.at(i, j) += x[static_cast<size_t>(r * n + i)] *
                      x[static_cast<size_t>(r * n + j)];
      }
    }
  }
  return h;
}

class ColumnSweepTest : public testing::Test {
 protected:
  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(ColumnSweepTest, GoldenMatrixGivesTheExactCodesAndLoss) {
  SquareMatrix h(3);
  h.values = {2, 1, .5, 1, 2, 1, .5, 1, 2};
  ASSERT_OK_AND_ASSIGN(const InverseFactor f,
                       FactorDampedInverse(h, 0, {}, ctx_));
  for (int64_t block : {1, 2, 128}) {
    std::vector<double> w = {.6, .3, -.7, -.2, .8, .55};
    HalfStepGrid grid;
    ColumnSweepOptions options;
    options.column_block = block;
    ASSERT_OK_AND_ASSIGN(const double loss,
                         SweepColumns<double>({2, 3, w.data()}, f.upper.values,
                                              options, grid, ctx_));
    EXPECT_THAT(w, testing::ElementsAre(.5, .5, -1, 0, .5, .5)) << block;
    EXPECT_NEAR(loss, 0.1575, 1e-12) << block;
  }
}

TEST_F(ColumnSweepTest, LossIsTheQuadraticFormOfTheDampedMatrix) {
  const int64_t rows = 37, n = 40;
  const SquareMatrix h = RandomSecondMoment(n, 1);
  const double damping = 0.01;
  ASSERT_OK_AND_ASSIGN(const InverseFactor f,
                       FactorDampedInverse(h, damping, {}, ctx_));
  double mean = 0;
  for (int64_t i = 0; i < n; ++i) mean += h.at(i, i) / n;
  std::mt19937_64 engine(2);
  std::vector<double> original(static_cast<size_t>(rows * n));
  for (double& v : original) {
    v = static_cast<double>(engine() >> 11) * 0x1p-52 - 1;
  }
  for (int64_t block : {1, 16, 128}) {
    std::vector<double> w = original;
    HalfStepGrid grid;
    ColumnSweepOptions options;
    options.column_block = block;
    ASSERT_OK_AND_ASSIGN(
        const double loss,
        SweepColumns<double>({rows, n, w.data()}, f.upper.values, options, grid,
                             ctx_));
    double form = 0;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          const double damped = h.at(i, j) + (i == j ? damping * mean : 0);
          form += 0.5 * (original[r * n + i] - w[r * n + i]) * damped *
                  (original[r * n + j] - w[r * n + j]);
        }
      }
    }
    EXPECT_NEAR(loss / form, 1, 1e-9) << block;
  }
}

TEST_F(ColumnSweepTest, CancelledContextStopsTheSweep) {
  SquareMatrix u(2);
  u.values = {1, 0, 0, 1};
  std::vector<double> w = {1, 2};
  HalfStepGrid grid;
  ctx_.RequestCancel();
  EXPECT_THAT(SweepColumns<double>({1, 2, w.data()}, u.values, {}, grid, ctx_),
              StatusIs(absl::StatusCode::kCancelled, _));
}

}  // namespace
}  // namespace quantd
