#include "quantizers/stages/gptq.h"

#include <cmath>
#include <memory>
#include <vector>

#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "quantizers/affine_grid.h"
#include "quantizers/grids/affine.h"
#include "tests/quantizers/random_matrices.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::CorrelatedMoment;
using ::quantd::test::RandomValues;

double Objective(const std::vector<double>& w, const PackedIntWeights& q,
                 const SquareMatrix& h) {
  double sum = 0;
  for (int64_t r = 0; r < q.rows; ++r) {
    std::vector<double> d(static_cast<size_t>(q.cols));
    for (int64_t c = 0; c < q.cols; ++c) {
      const int64_t g =
          q.group_index.empty() ? c / q.group_size : q.group_index[c];
      const size_t i = static_cast<size_t>(r * q.groups() + g);
      d[c] = w[r * q.cols + c] -
             q.scales[i] * (q.codes[r * q.cols + c] - q.zeros[i]);
    }
    for (int64_t i = 0; i < q.cols; ++i) {
      for (int64_t j = 0; j < q.cols; ++j) sum += d[i] * h.at(i, j) * d[j];
    }
  }
  return sum;
}

struct AffineResult {
  PackedIntWeights weights;
  double loss = 0;
};

class GptqTest : public testing::Test {
 protected:
  absl::StatusOr<AffineResult> Run(const std::vector<double>& w,
                                   const SquareMatrix& h,
                                   const GptqOptions& options) {
    ASSIGN_OR_RETURN(const auto factor,
                     FactorForGptq<double>(h, options, ctx_));
    const int64_t rows = static_cast<int64_t>(w.size()) / h.n;
    AffineLayerGrid<double> grid(rows, h.n, grid_);
    ASSIGN_OR_RETURN(const GptqResult result,
                     QuantizeGptq<double>(rows, h.n, w.data(), nullptr, factor,
                                          options, grid, ctx_));
    AffineResult affine = {grid.weights(), result.loss};
    affine.weights.group_index = result.group_index;
    return affine;
  }

  AffineGridOptions grid_;
  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(GptqTest, IdentityMomentReproducesRoundToNearest) {
  const int64_t rows = 9, n = 32;
  const std::vector<double> w = RandomValues(rows * n, 1);
  SquareMatrix h(n);
  for (int64_t i = 0; i < n; ++i) h.at(i, i) = 3;
  for (bool static_groups : {false, true}) {
    GptqOptions options;
    grid_.bits = 3;
    grid_.group_size = 8;
    options.static_groups = static_groups;
    options.act_order = false;
    ASSERT_OK_AND_ASSIGN(const AffineResult result, Run(w, h, options));
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t g = 0; g < 4; ++g) {
        const GroupGrid grid =
            FitGroupGrid<double>({w.data() + r * n + g * 8, 8}, grid_);
        for (int64_t c = g * 8; c < g * 8 + 8; ++c) {
          EXPECT_EQ(result.weights.codes[r * n + c],
                    EncodeWeight(w[r * n + c], grid, 7));
        }
      }
    }
  }
}

TEST_F(GptqTest, ColumnBlockDoesNotChangeTheCodes) {
  const int64_t n = 96;
  const std::vector<double> w = RandomValues(20 * n, 2);
  const SquareMatrix h = CorrelatedMoment(n, 3);
  for (bool static_groups : {false, true}) {
    for (bool act_order : {false, true}) {
      std::vector<std::vector<uint8_t>> codes;
      // 32 and 48 make dynamic groups of 24 start inside a block.
      for (int64_t block : {1, 32, 48, 128}) {
        GptqOptions options;
        grid_.bits = 3;
        grid_.group_size = 24;
        options.static_groups = static_groups;
        options.act_order = act_order;
        options.column_block = block;
        ASSERT_OK_AND_ASSIGN(const AffineResult result, Run(w, h, options));
        codes.push_back(result.weights.codes);
      }
      for (const auto& other : codes) EXPECT_EQ(other, codes[0]);
    }
  }
}

TEST_F(GptqTest, ObjectiveIsBelowThatOfRoundToNearest) {
  const int64_t n = 64;
  const std::vector<double> w = RandomValues(32 * n, 4);
  const SquareMatrix h = CorrelatedMoment(n, 5);
  for (int bits : {2, 3, 4}) {
    GptqOptions options;
    grid_.bits = bits;
    grid_.group_size = 32;
    ASSERT_OK_AND_ASSIGN(const AffineResult gptq, Run(w, h, options));
    SquareMatrix identity(n);
    for (int64_t i = 0; i < n; ++i) identity.at(i, i) = 1;
    ASSERT_OK_AND_ASSIGN(const AffineResult rtn, Run(w, identity, options));
    EXPECT_LT(Objective(w, gptq.weights, h), 0.9 * Objective(w, rtn.weights, h))
        << bits;
  }
}

TEST_F(GptqTest, DynamicGroupsUnderActOrderCarryTheirIndex) {
  const int64_t n = 32;
  const std::vector<double> w = RandomValues(4 * n, 6);
  const SquareMatrix h = CorrelatedMoment(n, 7);
  GptqOptions options;
  grid_.group_size = 8;
  options.static_groups = false;
  ASSERT_OK_AND_ASSIGN(const AffineResult result, Run(w, h, options));
  ASSERT_EQ(result.weights.group_index.size(), 32u);
  std::vector<int> members(4);
  for (int32_t g : result.weights.group_index) ++members[g];
  EXPECT_THAT(members, testing::Each(8));
  EXPECT_LT(Objective(w, result.weights, h), 1e9);
  options.static_groups = true;
  ASSERT_OK_AND_ASSIGN(const AffineResult fixed, Run(w, h, options));
  EXPECT_TRUE(fixed.weights.group_index.empty());
}

TEST_F(GptqTest, DeadInputsAreCountedAndDecodeToZero) {
  const int64_t n = 16;
  const std::vector<double> w = RandomValues(4 * n, 8);
  SquareMatrix h = CorrelatedMoment(n, 9);
  for (int64_t i = 0; i < n; ++i) h.at(5, i) = h.at(i, 5) = 0;
  GptqOptions options;
  grid_.group_size = 8;
  ASSERT_OK_AND_ASSIGN(const AffineResult result, Run(w, h, options));
  ASSERT_OK_AND_ASSIGN(const auto factor,
                       FactorForGptq<double>(h, options, ctx_));
  EXPECT_THAT(factor.dead_inputs, testing::ElementsAre(5));
  for (int64_t r = 0; r < 4; ++r) {
    EXPECT_EQ(result.weights.codes[r * n + 5], result.weights.zeros[r * 2]);
  }
}

TEST_F(GptqTest, AllInputsDeadStillGivesAWeight) {
  GptqOptions options;
  grid_.group_size = -1;
  ASSERT_OK_AND_ASSIGN(const AffineResult result,
                       Run(RandomValues(8, 10), SquareMatrix(8), options));
  EXPECT_EQ(result.weights.codes.size(), 8u);
}

TEST_F(GptqTest, ForecastCountsTheIndexOfDynamicGroups) {
  v1::GptqStage options;
  options.mutable_grid()->mutable_affine()->set_bits(4);
  options.mutable_grid()->mutable_affine()->set_group_size(8);
  options.set_act_order(true);
  options.set_static_groups(true);
  const LinearShape layer = {"layer", 4, 32};
  const uint64_t plain = NewGptqStage(options)->Cost(layer).stored_bytes;
  options.set_static_groups(false);
  EXPECT_EQ(NewGptqStage(options)->Cost(layer).stored_bytes, plain + 4 * 32);
}

}  // namespace
}  // namespace quantd
