// What every grid must do, whatever its values: one suite over the grid table,
// under the solvers that take any grid. A new grid gets these tests from its
// table row.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "proto/field_rules.h"
#include "quantizers/grid.h"
#include "quantizers/layer_error.h"
#include "quantizers/stage.h"
#include "quantizers/stage_pipeline.h"
#include "tests/quantizers/random_matrices.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::RandomMatrix;
using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

class GridConformanceTest : public testing::TestWithParam<GridRow> {
 protected:
  // Codebooks belong to whole rows or layers.
  static bool has_groups() {
    return v1::Grid::descriptor()
               ->FindFieldByNumber(static_cast<int>(GetParam().kind))
               ->message_type()
               ->FindFieldByName("group_size") != nullptr;
  }

  // A stage with this kind of grid in groups of `group_size`.
  static v1::Stage Options(v1::Stage::KindCase solver, int64_t group_size) {
    v1::Stage stage;
    v1::Grid* grid = solver == v1::Stage::kGptq
                         ? stage.mutable_gptq()->mutable_grid()
                         : stage.mutable_rtn()->mutable_grid();
    grid->GetReflection()->MutableMessage(
        grid, v1::Grid::descriptor()->FindFieldByNumber(
                  static_cast<int>(GetParam().kind)));
    FillDefaults(&stage);
    if (has_groups()) {
      EXPECT_THAT(
          ApplyAssignment(&stage, "group_size=" + std::to_string(group_size)),
          IsOk());
    }
    return stage;
  }

  static std::unique_ptr<Grid> Make(int64_t group_size) {
    return NewGrid(Options(v1::Stage::kRtn, group_size).rtn().grid());
  }

  // Everything a grid may look at, of random inputs.
  static std::shared_ptr<const LayerStatistics> StatisticsOf(
      const Tensor& inputs, ExecutionContext& ctx) {
    auto statistics = std::make_shared<LayerStatistics>();
    SecondMomentAccumulator accumulator(inputs.cols());
    accumulator.Add(inputs, 4, ctx);
    statistics->tokens = accumulator.tokens();
    statistics->second_moment = std::move(accumulator).Finish();
    return statistics;
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Round(
      const Tensor& weight, int64_t group_size, int threads = 2,
      std::shared_ptr<const OutlierMask> outliers = nullptr) {
    const std::unique_ptr<Device> device = NewCpuDevice(threads);
    ExecutionContext ctx(device.get());
    ASSIGN_OR_RETURN(const auto stage,
                     NewStage(Options(v1::Stage::kRtn, group_size)));
    LayerReport report;
    BlockWork work;
    LayerWork item;
    item.name = "l";
    item.weight = weight;
    item.statistics =
        StatisticsOf(RandomMatrix(4 * weight.cols(), weight.cols(), 99), ctx);
    item.outliers = std::move(outliers);
    item.report = &report;
    work.layers.push_back(std::move(item));
    RETURN_IF_ERROR(stage->ProcessBlock(work, ctx));
    return work.layers[0].compressed;
  }

  static std::string BytesOf(const CompressedLinear& linear) {
    std::vector<TensorToWrite> tensors;
    std::string bytes = linear.Save("l", &tensors).dump();
    for (const TensorToWrite& t : tensors) bytes += t.name + t.bytes;
    return bytes;
  }

  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_P(GridConformanceTest, NameIsThatOfTheTable) {
  EXPECT_EQ(Make(8)->name(), GetParam().name);
}

TEST_P(GridConformanceTest, ForecastOfStoredBytesIsExact) {
  for (const auto& [rows, cols, group_size] :
       std::vector<std::array<int64_t, 3>>{
           {13, 48, 8}, {1, 8, -1}, {33, 24, 24}, {5, 3, -1}, {17, 1, 1}}) {
    const auto grid = Make(group_size);
    if (!has_groups() && !grid->Validate("rtn.grid", {"l", rows, cols}).ok()) {
      continue;
    }
    ASSERT_THAT(grid->Validate("rtn.grid", {"l", rows, cols}), IsOk());
    ASSERT_OK_AND_ASSIGN(const auto linear,
                         Round(RandomMatrix(rows, cols, 1), group_size));
    EXPECT_EQ(8 * grid->Cost({"l", rows, cols}).stored_bytes,
              linear->stored_bits());
    if (has_groups()) {
      EXPECT_EQ(grid->GroupSizeFor(cols), group_size < 0 ? cols : group_size);
    }
  }
}

TEST_P(GridConformanceTest, AwkwardRowsStayFiniteAndZeroStaysZero) {
  Tensor w = RandomMatrix(8, 32, 2);
  std::fill_n(w.row(0), 32, 0.0f);    // zero
  std::fill_n(w.row(1), 32, 0.75f);   // constant
  std::fill_n(w.row(2), 32, -1e-7f);  // below the least scale step
  w.row(3)[7] = 1e4f;                 // outlier
  w.row(4)[0] = -60000.0f;
  ASSERT_OK_AND_ASSIGN(const auto linear, Round(w, 8));
  const Tensor decoded = linear->Decode(ctx_);
  for (float v : decoded.values()) ASSERT_TRUE(std::isfinite(v));
  for (int64_t c = 0; c < 32 && has_groups(); ++c) {
    EXPECT_EQ(decoded.row(0)[c], 0.0f);
  }
}

TEST_P(GridConformanceTest, BytesDoNotDependOnTheNumberOfThreads) {
  const Tensor w = RandomMatrix(70, 96, 3);
  ASSERT_OK_AND_ASSIGN(const auto one, Round(w, 32, 1));
  ASSERT_OK_AND_ASSIGN(const auto four, Round(w, 32, 4));
  EXPECT_EQ(BytesOf(*one), BytesOf(*four));
}

TEST_P(GridConformanceTest, OutliersKeepTheirValueAndLeaveTheGrid) {
  Tensor w = RandomMatrix(6, 32, 4);
  auto mask = std::make_shared<OutlierMask>();
  for (int32_t r = 0; r < 6; ++r) {
    w.row(r)[5 * r] = 64.0f;
    mask->row_starts.push_back(r);
    mask->columns.push_back(5 * r);
  }
  mask->row_starts.push_back(6);
  ASSERT_OK_AND_ASSIGN(const auto plain, Round(w, 8));
  ASSERT_OK_AND_ASSIGN(const auto kept, Round(w, 8, 2, mask));
  const Tensor decoded = kept->Decode(ctx_);
  for (int64_t r = 0; r < 6; ++r) EXPECT_EQ(decoded.row(r)[5 * r], 64.0f);
  // A codebook may hold every weight of so small a layer anyway.
  EXPECT_LE(RelativeWeightError(w, decoded),
            RelativeWeightError(w, plain->Decode(ctx_)));
}

// GPTQ on this grid, against rounding to it, by the error of the outputs on
// correlated inputs.
TEST_P(GridConformanceTest, ErrorCompensationPays) {
  if (!has_groups()) GTEST_SKIP() << "codebooks are fitted to larger layers";
  const int64_t cols = 48;
  const Tensor w = RandomMatrix(24, cols, 5);
  Tensor inputs = RandomMatrix(4 * cols, cols, 6);
  for (int64_t r = 0; r < inputs.rows(); ++r) {
    for (int64_t c = 1; c < cols; ++c) {
      inputs.row(r)[c] += 0.9f * inputs.row(r)[c - 1];
    }
  }
  double errors[2];
  for (const auto kind : {v1::Stage::kRtn, v1::Stage::kGptq}) {
    CompiledRecipe::Stages stages;
    ASSERT_OK_AND_ASSIGN(auto stage, NewStage(Options(kind, 16)));
    stages.push_back(std::move(stage));
    Linear layer("l", w.Clone(), std::nullopt);
    ASSERT_OK_AND_ASSIGN(
        const auto reports,
        RunStages(stages, 0, {&layer}, StatisticsOf(inputs, ctx_), {}, ctx_));
    errors[kind == v1::Stage::kGptq] = reports[0].output_error;
  }
  EXPECT_LT(errors[1], errors[0]);
}

TEST_P(GridConformanceTest, GroupSizeThatDoesNotDivideIsRefusedByName) {
  if (!has_groups()) GTEST_SKIP() << "no groups";
  EXPECT_THAT(Make(48)->Validate("rtn.grid", {"mlp.up_proj", 8, 64}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::AllOf(HasSubstr("rtn.grid." +
                                                std::string(GetParam().name) +
                                                ".group_size"),
                                      HasSubstr("48 does not divide the 64"),
                                      HasSubstr("up_proj"))));
}

INSTANTIATE_TEST_SUITE_P(Grids, GridConformanceTest,
                         testing::ValuesIn(BuiltinGrids()),
                         [](const testing::TestParamInfo<GridRow>& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace quantd
