// Groups of different widths, and the salience search (affine_grid_test.cc has
// the grid of one group).
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "quantizers/grids/affine.h"
#include "quantizers/round_to_nearest.h"
#include "quantizers/stages/gptq.h"
#include "tests/quantizers/random_matrices.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::CorrelatedMoment;
using ::quantd::test::IsOk;
using ::quantd::test::RandomValues;
using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

class AffineLayerGridTest : public testing::Test {
 protected:
  // Rounds `w` [rows, cols] to nearest; the values that the grid said.
  std::vector<double> Round(const std::vector<double>& w, int64_t rows,
                            int64_t cols, LayerGrid<double>& grid) {
    FitAllGroups<double>(rows, cols, w.data(), nullptr, grid, ctx_);
    std::vector<double> out(w.size());
    const int64_t size = grid.group_size();
    for (int64_t g = 0; g * size < cols; ++g) {
      Patch<double> patch;
      patch.row_end = rows;
      patch.column = g * size;
      patch.columns = size;
      patch.group = g;
      patch.values = w.data() + g * size;
      patch.value_stride = cols;
      patch.quantized = out.data() + g * size;
      patch.quantized_stride = cols;
      grid.Quantize(patch);
    }
    return out;
  }

  // GPTQ without act order on the given grid.
  absl::StatusOr<PackedIntWeights> Sweep(const std::vector<double>& w,
                                         const SquareMatrix& h,
                                         const AffineGridOptions& options) {
    GptqOptions gptq;
    gptq.act_order = false;
    gptq.static_groups = false;
    ASSIGN_OR_RETURN(const auto factor, FactorForGptq<double>(h, gptq, ctx_));
    const int64_t rows = static_cast<int64_t>(w.size()) / h.n;
    AffineLayerGrid<double> grid(rows, h.n, options);
    const std::vector<double> diagonal = FactorDiagonal(factor);
    LayerView<double> view;
    view.rows = rows;
    view.cols = h.n;
    view.weights = w.data();
    view.factor_diagonal = diagonal;
    RETURN_IF_ERROR(grid.Prepare(view, ctx_));
    RETURN_IF_ERROR(QuantizeGptq<double>(rows, h.n, w.data(), nullptr, factor,
                                         gptq, grid, ctx_)
                        .status());
    return grid.weights();
  }

  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(AffineLayerGridTest, EveryGroupHasItsWidth) {
  const int64_t rows = 9, cols = 32;
  const std::vector<double> w = RandomValues(rows * cols, 1);
  const std::vector<uint8_t> bits = {1, 2, 3, 8};
  for (bool symmetric : {false, true}) {
    AffineGridOptions options;
    options.group_size = 8;
    options.symmetric = symmetric;
    AffineLayerGrid<double> grid(rows, cols, options, bits);
    const std::vector<double> said = Round(w, rows, cols, grid);
    ASSERT_OK_AND_ASSIGN(const auto linear, grid.Finish({}));
    EXPECT_EQ(linear->layout(), "mixed-int.v1");
    const Tensor decoded = linear->Decode(ctx_);
    std::vector<double> errors(4, 0.0);
    for (int64_t i = 0; i < rows * cols; ++i) {
      EXPECT_EQ(decoded.data()[i], static_cast<float>(said[i]));
      errors[i % cols / 8] += (w[i] - said[i]) * (w[i] - said[i]);
    }
    // Every bit halves the step.
    EXPECT_GT(errors[0], errors[1]);
    EXPECT_GT(errors[1], 2 * errors[2]);
    EXPECT_GT(errors[2], 100 * errors[3]);
  }
}

TEST_F(AffineLayerGridTest, EqualWidthsAreKeptAsOne) {
  const std::vector<double> w = RandomValues(64, 2);
  AffineGridOptions options;
  options.group_size = 8;
  options.bits = 3;
  AffineLayerGrid<double> plain(4, 16, options);
  Round(w, 4, 16, plain);
  options.bits = 7;
  AffineLayerGrid<double> planned(4, 16, options, {3, 3});
  Round(w, 4, 16, planned);
  EXPECT_EQ(plain.weights().codes, planned.weights().codes);
  ASSERT_OK_AND_ASSIGN(const auto linear, planned.Finish({}));
  EXPECT_EQ(linear->layout(), "packed-int.v1");
  AffineLayerGrid<double> binary(4, 16, options, {1, 1});
  Round(w, 4, 16, binary);
  ASSERT_OK_AND_ASSIGN(const auto ones, binary.Finish({}));
  EXPECT_EQ(ones->layout(), "mixed-int.v1");
}

TEST_F(AffineLayerGridTest, PlansThatDoNotFitAreRefused) {
  v1::AffineGrid options;
  options.set_bits(4);
  options.set_group_size(8);
  const auto grid = NewAffineGrid(options);
  GridPlan plan;
  plan.group_bits = {2, 3, 4};
  EXPECT_THAT(grid->NewLayerGrid(4, 16, plan),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("bits of 3 groups for 2")));
  plan.group_bits = {2, 9};
  EXPECT_THAT(grid->NewLayerGrid(4, 16, plan),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1..8")));
  plan.group_size = 4;
  plan.group_bits = {2, 3, 4, 1};
  EXPECT_THAT(grid->NewLayerGrid(4, 16, plan), IsOk());
  AffineLayerGrid<double> mixed(1, 2, {.group_size = 1}, {2, 3});
  EXPECT_THAT(mixed.Finish({1, 0}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("consecutive input channels")));
}

TEST_F(AffineLayerGridTest, SalienceSearchOfOneCandidateIsGptq) {
  const int64_t n = 64;
  const std::vector<double> w = RandomValues(24 * n, 3);
  const SquareMatrix h = CorrelatedMoment(n, 4);
  AffineGridOptions options;
  options.bits = 2;
  options.group_size = 16;
  ASSERT_OK_AND_ASSIGN(const PackedIntWeights gptq, Sweep(w, h, options));
  options.range_fit = RangeFit::kSalienceSearch;
  options.salience_steps = 0;
  options.salience_weight = 10;
  ASSERT_OK_AND_ASSIGN(const PackedIntWeights same, Sweep(w, h, options));
  EXPECT_EQ(same.codes, gptq.codes);
  EXPECT_EQ(same.scales, gptq.scales);
  options.salience_steps = 50;
  ASSERT_OK_AND_ASSIGN(const PackedIntWeights searched, Sweep(w, h, options));
  EXPECT_NE(searched.codes, gptq.codes);
}

TEST_F(AffineLayerGridTest, SalientWeightsCountMoreInTheSearch) {
  // Channel 3 has a large second moment: its weights are salient.
  const int64_t rows = 200, cols = 16;
  const std::vector<double> w = RandomValues(rows * cols, 5);
  std::vector<double> diagonal(cols, 1.0);
  diagonal[3] = 0.05;
  LayerView<double> view;
  view.rows = rows;
  view.cols = cols;
  view.weights = w.data();
  view.factor_diagonal = diagonal;
  const auto errors = [&](double weight) {
    AffineGridOptions options;
    options.bits = 2;
    options.group_size = cols;
    options.range_fit = RangeFit::kSalienceSearch;
    options.salience_sigma = 1;
    options.salience_weight = weight;
    AffineLayerGrid<double> grid(rows, cols, options);
    EXPECT_THAT(grid.Prepare(view, ctx_), IsOk());
    const std::vector<double> q = Round(w, rows, cols, grid);
    // Of salient weights, and of all.
    std::pair<double, double> sums;
    for (int64_t i = 0; i < rows * cols; ++i) {
      const double e = std::pow(std::abs(w[i] - q[i]), 2.4);
      sums.second += e;
      // Large weights of channel 3, as the search takes them.
      if (i % cols == 3 && std::abs(w[i]) > 0.7) sums.first += e;
    }
    return sums;
  };
  const auto equal = errors(1);
  const auto salient = errors(50);
  EXPECT_LT(salient.first, 0.9 * equal.first);
  EXPECT_GT(salient.second, equal.second);
}

TEST_F(AffineLayerGridTest, WithoutSalientWeightsTheSearchIsPlain) {
  const std::vector<double> w(64, 0.25);
  AffineGridOptions options;
  options.bits = 3;
  options.group_size = 16;
  options.range_fit = RangeFit::kSalienceSearch;
  options.salience_weight = 0;
  AffineLayerGrid<double> grid(4, 16, options);
  LayerView<double> view;
  view.rows = 4;
  view.cols = 16;
  view.weights = w.data();
  ASSERT_THAT(grid.Prepare(view, ctx_), IsOk());
  for (double q : Round(w, 4, 16, grid)) EXPECT_NEAR(q, 0.25, 1e-3);
}

}  // namespace
}  // namespace quantd
