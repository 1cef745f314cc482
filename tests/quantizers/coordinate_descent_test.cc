#include "quantizers/coordinate_descent.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "proto/field_rules.h"
#include "quantizers/grids/affine.h"
#include "quantizers/layer_error.h"
#include "quantizers/outlier_selection.h"
#include "quantizers/round_to_nearest.h"
#include "quantizers/stages/coordinate_descent.h"
#include "quantizers/stages/gptq.h"
#include "tests/quantizers/random_matrices.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::CorrelatedMoment;
using ::quantd::test::IsOk;
using ::quantd::test::RandomValues;
using ::quantd::test::StatusIs;
using ::testing::_;
using ::testing::HasSubstr;

// tr(D H D^T) by its definition.
double Objective(const std::vector<double>& w, const std::vector<double>& q,
                 const SquareMatrix& h) {
  double sum = 0;
  for (size_t r = 0; r < w.size() / h.n; ++r) {
    for (int64_t i = 0; i < h.n; ++i) {
      for (int64_t j = 0; j < h.n; ++j) {
        sum += (w[r * h.n + i] - q[r * h.n + i]) * h.at(i, j) *
               (w[r * h.n + j] - q[r * h.n + j]);
      }
    }
  }
  return sum;
}

double HalfStep(double w) {
  return 0.5 * std::clamp(std::nearbyint(w / 0.5), -2.0, 1.0);
}

// q(w) = 0.5 * clamp(round(w / 0.5), -2, 1); keeps the last values.
class HalfStepGrid final : public LayerGrid<double> {
 public:
  HalfStepGrid(int64_t rows, int64_t cols)
      : cols_(cols), values(static_cast<size_t>(rows * cols)) {}
  int64_t group_size() const override { return cols_; }
  void FitGroup(const GroupValues<double>&) override {}
  void Quantize(const Patch<double>& patch) override {
    for (int64_t r = patch.row_begin; r < patch.row_end; ++r) {
      const int64_t local = r - patch.row_begin;
      for (int64_t c = 0; c < patch.columns; ++c) {
        const double q = HalfStep(patch.values[local * patch.value_stride + c]);
        values[r * cols_ + patch.column + c] = q;
        if (patch.quantized != nullptr) {
          patch.quantized[local * patch.quantized_stride + c] = q;
        }
      }
    }
  }
  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish(
      std::vector<int32_t>) override {
    return absl::UnimplementedError("test grid");
  }

 private:
  const int64_t cols_;

 public:
  std::vector<double> values;
};

std::vector<double> ValuesOf(const AffineLayerGrid<double>& grid) {
  const PackedIntWeights& w = grid.weights();
  std::vector<double> values;
  for (int64_t i = 0; i < w.rows * w.cols; ++i) {
    const int64_t index = i / w.cols * w.groups() + i % w.cols / w.group_size;
    values.push_back(static_cast<double>(w.scales[index]) *
                     (w.codes[i] - w.zeros[index]));
  }
  return values;
}

AffineGridOptions Bits(int bits, int64_t group_size = -1) {
  AffineGridOptions options;
  options.bits = bits;
  options.group_size = group_size;
  return options;
}

CoordinateDescentOptions Quantized(int passes) {
  CoordinateDescentOptions options;
  options.passes = passes;
  options.relax_period = 0;
  return options;
}

CoordinateDescentOptions Search(OutlierSearch search, double fraction) {
  CoordinateDescentOptions options;
  options.outlier_search = search;
  options.outlier_fraction = fraction;
  return options;
}

class CoordinateDescentTest : public testing::Test {
 protected:
  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(CoordinateDescentTest, GoldenMatrixGivesTheExactValuesAndObjective) {
  SquareMatrix h(3);
  h.values = {2, 1, .5, 1, 2, 1, .5, 1, 2};
  const std::vector<double> w = {.6, .3, -.7, -.2, .8, .55};
  const auto moment = NewDescentMoment<double>(h, {});
  for (int passes : {1, 2, 30}) {
    HalfStepGrid grid(2, 3);
    ASSERT_OK_AND_ASSIGN(const auto result,
                         DescendOnGrid<double>(2, 3, w.data(), nullptr, moment,
                                               Quantized(passes), grid, ctx_));
    EXPECT_THAT(grid.values, testing::ElementsAre(.5, .5, -1, 0, .5, .5));
    EXPECT_NEAR(result.objective, 0.315, 1e-12);
    EXPECT_NEAR(Objective(w, grid.values, h), 0.315, 1e-12);
    for (double f : result.objectives) EXPECT_NEAR(f, 0.315, 1e-12);
  }
}

// beta_j as the definition has it: all of D against a column of H, every time.
TEST_F(CoordinateDescentTest, FastFormEqualsTheDefinition) {
  const int64_t rows = 5, n = 150;  // more than two blocks
  const SquareMatrix h = CorrelatedMoment(n, 1);
  std::vector<double> w = RandomValues(rows * n, 2);
  const auto moment = NewDescentMoment<double>(h, {});
  for (int passes : {1, 2, 8}) {
    CoordinateDescentOptions options;
    options.passes = passes;
    options.quantized_passes = 1;
    HalfStepGrid grid(rows, n);
    ASSERT_OK_AND_ASSIGN(const auto result,
                         DescendOnGrid<double>(rows, n, w.data(), nullptr,
                                               moment, options, grid, ctx_));
    std::vector<double> naive = w;
    for (int pass = 0; pass < passes; ++pass) {
      for (int64_t j = 0; j < n; ++j) {
        for (int64_t r = 0; r < rows; ++r) {
          double beta = w[r * n + j];
          for (int64_t k = 0; k < n; ++k) {
            if (k == j) continue;
            beta += (w[r * n + k] - naive[r * n + k]) * h.at(k, j) / h.at(j, j);
          }
          naive[r * n + j] = options.Relaxed(pass) ? beta : HalfStep(beta);
        }
      }
      // Passes after the last change are left out.
      if (pass >= static_cast<int>(result.objectives.size())) break;
      const double f = Objective(w, naive, h);
      EXPECT_NEAR(result.objectives[pass], f, 1e-10 * f) << pass;
    }
  }
}

TEST_F(CoordinateDescentTest, PassesAreRelaxedAsPublished) {
  const CoordinateDescentOptions options;
  std::vector<int> relaxed;
  for (int pass = 0; pass < options.passes; ++pass) {
    if (options.Relaxed(pass)) relaxed.push_back(pass);
  }
  EXPECT_THAT(relaxed, testing::ElementsAre(1, 4, 7, 10, 13, 16, 19, 22, 25));
}

TEST_F(CoordinateDescentTest, ObjectiveNeverRisesBetweenQuantizedPasses) {
  const int64_t rows = 16, n = 96;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const SquareMatrix h = CorrelatedMoment(n, 10 + seed);
    const std::vector<double> w = RandomValues(rows * n, 20 + seed);
    for (const bool relax : {false, true}) {
      CoordinateDescentOptions options = Quantized(20);
      if (relax) options.relax_period = 3;
      AffineLayerGrid<double> grid(rows, n, Bits(3, 32));
      FitAllGroups<double>(rows, n, w.data(), nullptr, grid, ctx_);
      ASSERT_OK_AND_ASSIGN(
          const auto result,
          DescendOnGrid<double>(rows, n, w.data(), nullptr,
                                NewDescentMoment<double>(h, {}), options, grid,
                                ctx_));
      for (size_t pass = 1; pass < result.objectives.size(); ++pass) {
        if (options.Relaxed(static_cast<int>(pass)) ||
            options.Relaxed(static_cast<int>(pass) - 1)) {
          continue;
        }
        EXPECT_LE(result.objectives[pass],
                  result.objectives[pass - 1] * (1 + 1e-12))
            << seed << " " << pass;
      }
      // What was kept is what the grid holds, and the least that was seen.
      EXPECT_NEAR(Objective(w, ValuesOf(grid), h), result.objective,
                  1e-9 * result.objective);
      for (size_t pass = 0; pass < result.objectives.size(); ++pass) {
        if (options.Relaxed(static_cast<int>(pass))) continue;
        EXPECT_LE(result.objective, result.objectives[pass] * (1 + 1e-12));
      }
    }
  }
}

TEST_F(CoordinateDescentTest, EndsAtOrBelowGptqWhenItStartsThere) {
  const int64_t rows = 24, n = 64;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    const SquareMatrix h = CorrelatedMoment(n, 30 + seed);
    const std::vector<double> w = RandomValues(rows * n, 40 + seed);
    for (const bool act_order : {false, true}) {
      GptqOptions gptq;
      gptq.act_order = act_order;
      ASSERT_OK_AND_ASSIGN(const auto factor,
                           FactorForGptq<double>(h, gptq, ctx_));
      AffineLayerGrid<double> grid(rows, n,
                                   Bits(2 + static_cast<int>(seed % 3), 32));
      ASSERT_THAT(QuantizeGptq<double>(rows, n, w.data(), nullptr, factor, gptq,
                                       grid, ctx_)
                      .status(),
                  IsOk());
      const std::vector<double> start = ValuesOf(grid);
      const auto moment = NewDescentMoment<double>(h, SweepOrder(h, act_order));
      ASSERT_OK_AND_ASSIGN(
          const auto result,
          DescendOnGrid<double>(rows, n, w.data(), start.data(), moment, {},
                                grid, ctx_));
      const double before = Objective(w, start, h);
      const double after = Objective(w, ValuesOf(grid), h);
      EXPECT_LE(after, before * (1 + 1e-12)) << seed;
      EXPECT_LT(after, 0.97 * before) << "and finds something to improve";
      EXPECT_NEAR(after, result.objective, 1e-9 * after);
    }
  }
}

TEST_F(CoordinateDescentTest, DiagonalMomentReproducesRoundToNearest) {
  const int64_t n = 40;
  SquareMatrix h(n);
  for (int64_t i = 0; i < n; ++i) h.at(i, i) = 1 + static_cast<double>(i);
  const std::vector<double> w = RandomValues(7 * n, 3);
  HalfStepGrid grid(7, n);
  ASSERT_THAT(
      DescendOnGrid<double>(7, n, w.data(), nullptr,
                            NewDescentMoment<double>(h, {}), {}, grid, ctx_)
          .status(),
      IsOk());
  for (size_t i = 0; i < w.size(); ++i) {
    EXPECT_EQ(grid.values[i], HalfStep(w[i]));
  }
}

TEST_F(CoordinateDescentTest, InputsThatWereNeverActiveAreRounded) {
  const int64_t n = 16;
  SquareMatrix h = CorrelatedMoment(n, 4);
  for (int64_t i = 0; i < n; ++i) h.at(5, i) = h.at(i, 5) = 0;
  const std::vector<double> w = RandomValues(4 * n, 5);
  for (const auto& options :
       {CoordinateDescentOptions(), Search(OutlierSearch::kEntries, 0.05)}) {
    HalfStepGrid grid(4, n);
    ASSERT_OK_AND_ASSIGN(const auto result,
                         DescendOnGrid<double>(4, n, w.data(), nullptr,
                                               NewDescentMoment<double>(h, {}),
                                               options, grid, ctx_));
    EXPECT_TRUE(std::isfinite(result.objective));
    if (options.outlier_search != OutlierSearch::kNone) continue;
    for (int64_t r = 0; r < 4; ++r) {
      EXPECT_EQ(grid.values[r * n + 5], HalfStep(w[r * n + 5]));
    }
  }
  HalfStepGrid grid(4, n);
  EXPECT_THAT(
      DescendOnGrid<double>(4, n, w.data(), nullptr,
                            NewDescentMoment<double>(SquareMatrix(n), {}),
                            Search(OutlierSearch::kColumns, 0.1), grid, ctx_)
          .status(),
      IsOk());
}

TEST_F(CoordinateDescentTest, ThresholdingKeepsTheSupportAndNeverRaises) {
  const int64_t rows = 20, n = 64;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const SquareMatrix h = CorrelatedMoment(n, 50 + seed);
    const std::vector<double> w = RandomValues(rows * n, 60 + seed);
    const auto moment = NewDescentMoment<double>(h, {});
    for (const auto& [search, size] :
         {std::pair{OutlierSearch::kEntries, 26},         // ceil(2 % of 1280)
          std::pair{OutlierSearch::kColumns, 2 * 20}}) {  // ceil(2 % of 64)
      const CoordinateDescentOptions options = Search(search, 0.02);
      AffineLayerGrid<double> grid(rows, n, Bits(2, 32));
      FitAllGroups<double>(rows, n, w.data(), nullptr, grid, ctx_);
      ASSERT_OK_AND_ASSIGN(const auto result,
                           DescendOnGrid<double>(rows, n, w.data(), nullptr,
                                                 moment, options, grid, ctx_));
      EXPECT_EQ(result.support_sizes.size(), 30u);
      EXPECT_THAT(result.support_sizes, testing::Each(size));
      ASSERT_EQ(result.objectives.size(), 60u);
      for (size_t i = 1; i < result.objectives.size(); ++i) {
        EXPECT_LE(result.objectives[i], result.objectives[i - 1] * (1 + 1e-12))
            << i;
      }
      // What + S is what the layer will decode to.
      std::vector<double> sum = ValuesOf(grid);
      EXPECT_EQ(result.outliers.count(), size);
      std::set<int32_t> columns;
      for (int64_t r = 0; r < rows; ++r) {
        for (int32_t i = result.outliers.row_starts[r];
             i < result.outliers.row_starts[r + 1]; ++i) {
          sum[r * n + result.outliers.columns[i]] = result.outlier_values[i];
          columns.insert(result.outliers.columns[i]);
        }
      }
      if (search == OutlierSearch::kColumns) {
        EXPECT_EQ(columns.size(), 2u);
      }
      EXPECT_NEAR(Objective(w, sum, h), result.objective,
                  1e-9 * result.objective);
      // Better than without outliers on the same grid, descending as plainly:
      // relaxed passes are left out, as they are with outliers.
      CoordinateDescentOptions without;
      without.relax_period = 0;
      ASSERT_OK_AND_ASSIGN(const auto plain,
                           DescendOnGrid<double>(rows, n, w.data(), nullptr,
                                                 moment, without, grid, ctx_));
      if (search == OutlierSearch::kEntries) {
        EXPECT_LT(result.objective, plain.objective);
      }
    }
  }
}

TEST_F(CoordinateDescentTest, OrderOfTheSweepDoesNotMixChannels) {
  const int64_t rows = 6, n = 70;
  const SquareMatrix h = CorrelatedMoment(n, 6);
  const std::vector<double> w = RandomValues(rows * n, 7);
  std::vector<int64_t> order = SweepOrder(h, /*act_order=*/true);
  const auto moment = NewDescentMoment<double>(h, order);
  for (const auto& options :
       {CoordinateDescentOptions(), Search(OutlierSearch::kEntries, 0.03)}) {
    AffineLayerGrid<double> grid(rows, n, Bits(3, 14));
    FitAllGroups<double>(rows, n, w.data(), nullptr, grid, ctx_);
    ASSERT_OK_AND_ASSIGN(const auto result,
                         DescendOnGrid<double>(rows, n, w.data(), nullptr,
                                               moment, options, grid, ctx_));
    std::vector<double> sum = ValuesOf(grid);
    for (int64_t r = 0; r < rows && result.outliers.count() > 0; ++r) {
      for (int32_t i = result.outliers.row_starts[r];
           i < result.outliers.row_starts[r + 1]; ++i) {
        sum[r * n + result.outliers.columns[i]] = result.outlier_values[i];
      }
    }
    EXPECT_NEAR(Objective(w, sum, h), result.objective,
                1e-9 * result.objective);
  }
}

TEST_F(CoordinateDescentTest, FixedOutliersAreMovedToTheirBestValue) {
  const int64_t rows = 8, n = 48;
  const SquareMatrix h = CorrelatedMoment(n, 8);
  const std::vector<double> w = RandomValues(rows * n, 9);
  const auto moment = NewDescentMoment<double>(h, {});
  const OutlierMask mask = LargestEntries(rows, n, w.data(), 12);
  auto run = [&](bool outliers) -> absl::StatusOr<double> {
    std::unique_ptr<LayerGrid<double>> grid =
        std::make_unique<AffineLayerGrid<double>>(rows, n, Bits(2));
    if (outliers) grid = NewOutlierGrid<double>(std::move(grid), mask);
    FitAllGroups<double>(rows, n, w.data(), nullptr, *grid, ctx_);
    ASSIGN_OR_RETURN(const auto result,
                     DescendOnGrid<double>(rows, n, w.data(), nullptr, moment,
                                           {}, *grid, ctx_));
    return result.objective;
  };
  ASSERT_OK_AND_ASSIGN(const double plain, run(false));
  ASSERT_OK_AND_ASSIGN(const double kept, run(true));
  EXPECT_LT(kept, plain);
}

// --- The stage -------------------------------------------------------------

class CoordinateDescentStageTest : public CoordinateDescentTest {
 protected:
  absl::StatusOr<LayerWork> Run(const std::vector<std::string>& assignments,
                                std::shared_ptr<const OutlierMask> outliers) {
    v1::Stage options;
    options.mutable_coordinate_descent();
    FillDefaults(&options);
    for (const std::string& assignment : assignments) {
      RETURN_IF_ERROR(ApplyAssignment(&options, assignment));
    }
    const auto stage = NewCoordinateDescentStage(options.coordinate_descent());
    const SquareMatrix h = CorrelatedMoment(64, 70);
    const std::vector<double> w = RandomValues(32 * 64, 71);
    auto statistics = std::make_shared<LayerStatistics>();
    statistics->second_moment = h;
    statistics->tokens = 1;
    BlockWork work;
    work.layers.resize(1);
    LayerWork& item = work.layers[0];
    item.name = "layer";
    item.weight =
        Tensor::FromValues({32, 64}, std::vector<float>(w.begin(), w.end()));
    item.statistics = statistics;
    item.outliers = std::move(outliers);
    item.report = &report_;
    RETURN_IF_ERROR(stage->ProcessBlock(work, ctx_));
    cost_ = stage->Cost({"layer", 32, 64});
    error_ = RelativeOutputError(item.weight, item.compressed->Decode(ctx_),
                                 ToFloat(h), ctx_);
    return item;
  }

  LayerReport report_;
  StageCost cost_;
  double error_ = 0;
};

TEST_F(CoordinateDescentStageTest, OptionsOrderAsPublished) {
  ASSERT_THAT(Run({"bits=2", "group_size=-1", "passes=1"}, nullptr).status(),
              IsOk());
  const double one_pass = error_;
  ASSERT_THAT(Run({"bits=2", "group_size=-1"}, nullptr).status(), IsOk());
  const double all_passes = error_;
  EXPECT_LT(all_passes, one_pass);
  ASSERT_THAT(
      Run({"bits=2", "group_size=-1", "initial=GPTQ"}, nullptr).status(),
      IsOk());
  EXPECT_LT(error_, one_pass);
  EXPECT_GE(report_.damping, 0.01);
  ASSERT_THAT(
      Run({"bits=2", "group_size=-1", "outlier_search=ENTRIES"}, nullptr)
          .status(),
      IsOk());
  EXPECT_LT(error_, all_passes);
}

TEST_F(CoordinateDescentStageTest, OutliersAreStoredAndForecast) {
  for (const char* search : {"outlier_search=NONE", "outlier_search=ENTRIES",
                             "outlier_search=COLUMNS"}) {
    for (const char* initial : {"initial=WEIGHTS", "initial=GPTQ"}) {
      for (const char* order : {"act_order=false", "act_order=true"}) {
        ASSERT_OK_AND_ASSIGN(
            const LayerWork item,
            Run({"bits=3", "group_size=16", search, initial, order}, nullptr));
        EXPECT_EQ(8 * (cost_.stored_bytes + cost_.added_bytes),
                  item.compressed->stored_bits());
      }
    }
  }
}

TEST_F(CoordinateDescentStageTest, OneStageChoosesOutliersNotTwo) {
  auto mask = std::make_shared<OutlierMask>();
  mask->row_starts.assign(33, 0);
  EXPECT_THAT(Run({"outlier_search=ENTRIES"}, mask).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("chosen by an earlier stage")));
  EXPECT_THAT(Run({}, mask).status(), IsOk());
}

}  // namespace
}  // namespace quantd
