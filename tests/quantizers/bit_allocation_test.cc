#include "quantizers/stages/bit_allocation.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include "gmock/gmock.h"
#include "quantizers/grids/affine.h"
#include "tests/quantizers/random_matrices.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::RandomMatrix;
using ::testing::ElementsAre;

// Inputs of very unequal size, by group.
Tensor UnequalInputs(int64_t rows, int64_t cols, int64_t group_size) {
  Tensor x = RandomMatrix(rows, cols, 11);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      x.row(r)[c] *= std::pow(2.0f, static_cast<float>((c / group_size) % 5));
    }
  }
  return x;
}

class BitAllocationTest : public testing::Test {
 protected:
  // U_jj for uncorrelated inputs: 1 / sqrt(H_jj).
  std::vector<double> Diagonal(const Tensor& x) {
    std::vector<double> d(static_cast<size_t>(x.cols()));
    for (int64_t c = 0; c < x.cols(); ++c) {
      double sum = 0;
      for (int64_t r = 0; r < x.rows(); ++r) {
        sum += static_cast<double>(x.row(r)[c]) * x.row(r)[c];
      }
      d[static_cast<size_t>(c)] = 1 / std::sqrt(sum);
    }
    return d;
  }

  // W on the affine grid of the given widths, rounded to nearest.
  Tensor Rounded(const Tensor& w, const AffineGridOptions& options,
                 const std::vector<uint8_t>& widths) {
    AffineLayerGrid<float> grid(w.rows(), w.cols(), options, widths);
    Tensor out = Tensor::Uninitialized(w.shape());
    const int64_t size = grid.group_size();
    std::vector<int64_t> columns(static_cast<size_t>(size));
    for (int64_t g = 0; g < w.cols() / size; ++g) {
      std::iota(columns.begin(), columns.end(), g * size);
      for (int64_t r = 0; r < w.rows(); ++r) {
        grid.FitGroup(
            {r, g, {w.row(r) + g * size, columns.size()}, columns, {}});
      }
      Patch<float> patch;
      patch.row_end = w.rows();
      patch.column = g * size;
      patch.columns = size;
      patch.group = g;
      patch.values = w.data() + g * size;
      patch.value_stride = w.cols();
      patch.quantized = out.data() + g * size;
      patch.quantized_stride = w.cols();
      grid.Quantize(patch);
    }
    return out;
  }

  Tensor Outputs(const Tensor& x, const Tensor& w) {
    Tensor y = Tensor::Zeros({x.rows(), w.rows()});
    for (int64_t t = 0; t < x.rows(); ++t) {
      for (int64_t o = 0; o < w.rows(); ++o) {
        double sum = 0;
        for (int64_t c = 0; c < w.cols(); ++c) {
          sum += static_cast<double>(x.row(t)[c]) * w.row(o)[c];
        }
        y.row(t)[o] = static_cast<float>(sum);
      }
    }
    return y;
  }

  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(BitAllocationTest, SalienceIsTheSumOverRowsAndChannels) {
  const Tensor w = Tensor::FromValues({2, 4}, {1, 2, 3, 4, -1, 0, 2, 1});
  const std::vector<double> u = {1, 2, 0.5, 1};
  // 1 + 4/4 + 1 + 0; 9*4 + 16 + 4*4 + 1.
  EXPECT_THAT(GroupSalience(w, u, 2, ctx_), ElementsAre(3, 69));
  EXPECT_THAT(GroupSalience(w, u, 4, ctx_), ElementsAre(72));
}

TEST_F(BitAllocationTest, AverageWidthIsExactlyTheGrids) {
  const std::vector<double> salience = {5, 1, 4, 9, 2, 7, 3, 8};
  EXPECT_THAT(WidthsBySalience(salience, 2, 0),
              ElementsAre(2, 2, 2, 2, 2, 2, 2, 2));
  EXPECT_THAT(WidthsBySalience(salience, 2, 2),
              ElementsAre(2, 1, 2, 3, 1, 2, 2, 3));
  for (int64_t pairs = 0; pairs <= 4; ++pairs) {
    const auto widths = WidthsBySalience(salience, 3, pairs);
    EXPECT_EQ(std::accumulate(widths.begin(), widths.end(), 0), 3 * 8);
  }
  // Equal saliences: the first are the least, the last the greatest.
  EXPECT_THAT(WidthsBySalience(std::vector<double>(4, 1.0), 4, 1),
              ElementsAre(3, 4, 4, 5));
}

TEST_F(BitAllocationTest, DivergenceIsZeroForEqualsAndNeverNegative) {
  const Tensor y = RandomMatrix(40, 33, 1);
  EXPECT_EQ(SoftmaxDivergence(y, y, ctx_), 0.0);
  for (uint64_t seed = 2; seed < 20; ++seed) {
    Tensor other = RandomMatrix(40, 33, seed);
    const float size = static_cast<float>(seed * seed);
    for (float& v : other.values()) v *= size;
    EXPECT_GT(SoftmaxDivergence(other, y, ctx_), 0.0);
    EXPECT_GT(SoftmaxDivergence(y, other, ctx_), 0.0);
  }
}

TEST_F(BitAllocationTest, DivergenceIsThatOfSoftmaxes) {
  // softmax of log p is p.
  const Tensor p = Tensor::FromValues(
      {1, 3}, {std::log(0.5f), std::log(0.25f), std::log(0.25f)});
  const Tensor q = Tensor::FromValues(
      {1, 3}, {std::log(0.25f), std::log(0.25f), std::log(0.5f)});
  // 0.5 log 2 + 0 + 0.25 log(1/2).
  EXPECT_NEAR(SoftmaxDivergence(p, q, ctx_), 0.25 * std::log(2.0), 1e-6);
}

TEST_F(BitAllocationTest, ChosenAllocationIsTheMinimumOfItsCurve) {
  const int64_t group = 8;
  const Tensor w = RandomMatrix(24, 64, 3);
  const Tensor x = UnequalInputs(50, 64, group);
  const Tensor exact = Outputs(x, w);
  for (int bits : {2, 3, 4}) {
    AffineGridOptions grid;
    grid.bits = bits;
    grid.group_size = group;
    const auto salience = GroupSalience(w, Diagonal(x), group, ctx_);
    ASSERT_OK_AND_ASSIGN(const BitAllocation result,
                         AllocateBits(w, x, salience, grid, ctx_));
    ASSERT_EQ(result.divergence.size(), 4u);  // p = 0 .. 8 / 2 - 1
    // Every point of the curve is what its allocation really gives.
    for (int64_t p = 0; p < 4; ++p) {
      const auto widths = WidthsBySalience(salience, bits, p);
      const double expected =
          SoftmaxDivergence(Outputs(x, Rounded(w, grid, widths)), exact, ctx_);
      EXPECT_NEAR(result.divergence[static_cast<size_t>(p)], expected,
                  1e-4 * expected + 1e-9)
          << bits << " bits, p = " << p;
    }
    const auto least =
        std::min_element(result.divergence.begin(), result.divergence.end());
    EXPECT_EQ(result.pairs, least - result.divergence.begin());
    EXPECT_EQ(result.group_bits,
              WidthsBySalience(salience, bits, result.pairs));
  }
}

TEST_F(BitAllocationTest, FewGroupsAndEightBitsStayUniform) {
  const Tensor x = UnequalInputs(20, 48, 16);
  const Tensor w = RandomMatrix(6, 48, 4);
  for (const auto& [bits, group, groups] :
       {std::tuple{2, 16, 3}, std::tuple{2, 24, 2}, std::tuple{2, -1, 1},
        std::tuple{8, 8, 6}}) {
    AffineGridOptions grid;
    grid.bits = bits;
    grid.group_size = group;
    const auto salience =
        GroupSalience(w, Diagonal(x), grid.GroupSizeFor(48), ctx_);
    ASSERT_OK_AND_ASSIGN(const BitAllocation result,
                         AllocateBits(w, x, salience, grid, ctx_));
    EXPECT_EQ(result.pairs, 0);
    EXPECT_EQ(result.group_bits,
              std::vector<uint8_t>(static_cast<size_t>(groups),
                                   static_cast<uint8_t>(bits)));
  }
}

TEST_F(BitAllocationTest, ThreadsDoNotChangeTheCurve) {
  const Tensor w = RandomMatrix(70, 64, 5);
  const Tensor x = UnequalInputs(90, 64, 8);
  AffineGridOptions grid;
  grid.bits = 2;
  grid.group_size = 8;
  std::vector<std::vector<double>> curves;
  for (int threads : {1, 3}) {
    const auto device = NewCpuDevice(threads);
    ExecutionContext ctx(device.get());
    const auto salience = GroupSalience(w, Diagonal(x), 8, ctx);
    ASSERT_OK_AND_ASSIGN(const BitAllocation result,
                         AllocateBits(w, x, salience, grid, ctx));
    curves.push_back(result.divergence);
  }
  EXPECT_EQ(curves[0], curves[1]);
}

}  // namespace
}  // namespace quantd
