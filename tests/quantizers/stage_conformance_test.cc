// What every stage must do, whatever its method: one suite over the stage
// table. A new stage gets these tests from its table row.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "proto/field_rules.h"
#include "quantizers/compiled_recipe.h"
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
using ::testing::_;
using ::testing::HasSubstr;

// One kind of stage on its own does not compress: others are tried around a
// plain solver, as a recipe would.
class StageConformanceTest : public testing::TestWithParam<StageRow> {
 protected:
  bool is_solver() const { return GetParam().role == StageRole::kSolver; }

  static absl::StatusOr<std::unique_ptr<Stage>> MakeKind(
      v1::Stage::KindCase kind, const std::vector<std::string>& assignments) {
    v1::Stage options;
    const auto* field =
        v1::Stage::descriptor()->FindFieldByNumber(static_cast<int>(kind));
    options.GetReflection()->MutableMessage(&options, field);
    FillDefaults(&options);
    for (const std::string& assignment : assignments) {
      // Not every solver has every option of an affine grid.
      const absl::Status status = ApplyAssignment(&options, assignment);
      if (!status.ok() &&
          !absl::StrContains(status.message(), "no such option")) {
        return status;
      }
    }
    return NewStage(options);
  }

  // Those of `assignments` that a kind has options for.
  static std::vector<std::string> Applicable(
      v1::Stage::KindCase kind, const std::vector<std::string>& assignments) {
    std::vector<std::string> applicable;
    for (const std::string& assignment : assignments) {
      if (MakeKind(kind, {assignment}).ok()) applicable.push_back(assignment);
    }
    return applicable;
  }

  // The stages of a recipe with this kind. `assignments` go on top of the
  // defaults of its solver, and of the kind where it has such options.
  absl::StatusOr<CompiledRecipe::Stages> Make(
      const std::vector<std::string>& assignments,
      v1::Stage::KindCase solver = v1::Stage::kRtn) {
    CompiledRecipe::Stages stages;
    const StageRole role = GetParam().role;
    const auto add = [&](v1::Stage::KindCase kind,
                         const std::vector<std::string>& set) -> absl::Status {
      ASSIGN_OR_RETURN(auto stage, MakeKind(kind, set));
      stages.push_back(std::move(stage));
      return absl::OkStatus();
    };
    if (role > StageRole::kSolver) {
      RETURN_IF_ERROR(add(solver, assignments));
    }
    RETURN_IF_ERROR(add(
        GetParam().kind,
        is_solver() ? assignments : Applicable(GetParam().kind, assignments)));
    if (role < StageRole::kSolver) {
      RETURN_IF_ERROR(add(solver, assignments));
    }
    ConnectStages(stages);
    return stages;
  }

  static absl::Status ValidateAll(const CompiledRecipe::Stages& stages,
                                  const LinearShape& layer) {
    for (const auto& stage : stages) RETURN_IF_ERROR(stage->Validate(layer));
    return absl::OkStatus();
  }

  static StatisticsRequest NeedsOf(const CompiledRecipe::Stages& stages) {
    StatisticsRequest request;
    for (const auto& stage : stages) request.Merge(stage->Needs());
    return request;
  }

  // Everything a stage may ask for, of random inputs.
  static std::shared_ptr<const LayerStatistics> RandomStatistics(
      int64_t cols, const StatisticsRequest& request, bool dead_inputs,
      ExecutionContext& ctx) {
    auto statistics = std::make_shared<LayerStatistics>();
    Tensor inputs = RandomMatrix(4 * cols, cols, 99);
    for (int64_t r = 0; r < inputs.rows() && dead_inputs; ++r) {
      for (int64_t c = 0; c < cols; c += 3) inputs.row(r)[c] = 0;
    }
    SecondMomentAccumulator accumulator(cols);
    accumulator.Add(inputs, 4, ctx);
    statistics->tokens = accumulator.tokens();
    statistics->second_moment = std::move(accumulator).Finish();
    for (int64_t c = 0; c < cols && request.mean_abs; ++c) {
      double sum = 0;
      for (int64_t r = 0; r < inputs.rows(); ++r) {
        sum += std::abs(inputs.row(r)[c]);
      }
      statistics->mean_abs.push_back(
          static_cast<float>(sum / static_cast<double>(inputs.rows())));
    }
    if (request.sample_rows > 0) {
      statistics->sample =
          inputs.Rows(0, std::min(request.sample_rows, inputs.rows()));
    }
    return statistics;
  }

  // Of a layer "layer": any numbers, none in every seventh place.
  static std::map<std::string, Tensor> SensitivitiesOf(const Tensor& weight) {
    Tensor sensitivity = RandomMatrix(weight.rows(), weight.cols(), 77);
    for (int64_t i = 0; i < sensitivity.size(); ++i) {
      float& v = sensitivity.data()[i];
      v = i % 7 == 0 ? 0.0f : v * v;
    }
    return {{"layer", std::move(sensitivity)}};
  }

  // Runs the stages on one layer with random calibration inputs and returns
  // the layer.
  absl::StatusOr<Linear> Run(const CompiledRecipe::Stages& stages,
                             const Tensor& weight, int threads,
                             LayerReport* report, bool dead_inputs = false) {
    const std::unique_ptr<Device> device = NewCpuDevice(threads);
    ExecutionContext ctx(device.get());
    Linear layer("layer", weight.Clone(), std::nullopt);
    RETURN_IF_ERROR(
        ValidateAll(stages, {"layer", weight.rows(), weight.cols()}));
    ASSIGN_OR_RETURN(auto reports,
                     RunStages(stages, 0, {&layer},
                               RandomStatistics(weight.cols(), NeedsOf(stages),
                                                dead_inputs, ctx),
                               SensitivitiesOf(weight), ctx));
    *report = reports.at(0);
    return layer;
  }

  static std::string BytesOf(const Linear& layer) {
    std::vector<TensorToWrite> tensors;
    std::string bytes = layer.compressed()->Save("layer", &tensors).dump();
    for (const TensorToWrite& t : tensors) bytes += t.name + t.bytes;
    return bytes;
  }
};

TEST_P(StageConformanceTest, NameIsThatOfTheTable) {
  ASSERT_OK_AND_ASSIGN(const auto stage, MakeKind(GetParam().kind, {}));
  EXPECT_EQ(stage->name(), GetParam().name);
}

TEST_P(StageConformanceTest, ErrorShrinksWithBitsAndStaysBounded) {
  const Tensor w = RandomMatrix(24, 64, 1);
  double previous = 1e9;
  for (int bits = 2; bits <= 8; ++bits) {
    ASSERT_OK_AND_ASSIGN(
        const auto stages,
        Make({"bits=" + std::to_string(bits), "group_size=32"}));
    LayerReport report;
    ASSERT_OK_AND_ASSIGN(const Linear layer, Run(stages, w, 2, &report));
    const double error = RelativeWeightError(w, layer.weight());
    EXPECT_NEAR(report.weight_error, error, 1e-12);
    EXPECT_LT(error, previous);
    // A uniform grid over [-1, 1] has relative error (step / 2)^2 for uniform
    // weights; error compensation may move weights by about twice that.
    const double step = 2.0 / ((1 << bits) - 1);
    EXPECT_LT(error, 4 * step * step) << bits;
    previous = error;
    // At most two parameters of 16 bits a group.
    double added = 0;
    for (const auto& stage : stages) {
      added += static_cast<double>(stage->Cost({"layer", 24, 64}).added_bytes);
    }
    EXPECT_GE(layer.compressed()->bits_per_weight(), bits);
    EXPECT_LE(layer.compressed()->bits_per_weight(),
              bits + 32.0 / 32 + 8 * added / (24 * 64) + 0.02);
  }
}

TEST_P(StageConformanceTest, RepresentableWeightsAreExact) {
  if (GetParam().role == StageRole::kOutliers) {
    GTEST_SKIP() << "a range without its ends is another range";
  }
  if (GetParam().kind == v1::Stage::kRowBits) {
    GTEST_SKIP() << "rows of other bits have other steps";
  }
  // Every group spans codes 0 .. 15 at step 1/8 with zero point 8.
  Tensor w = Tensor::Uninitialized({6, 32});
  for (int64_t r = 0; r < 6; ++r) {
    for (int64_t c = 0; c < 32; ++c) {
      w.row(r)[c] = 0.125f * static_cast<float>((c * (2 * r + 1)) % 16 - 8);
    }
  }
  ASSERT_OK_AND_ASSIGN(const auto stages, Make({"bits=4", "group_size=16"}));
  LayerReport report;
  ASSERT_OK_AND_ASSIGN(const Linear layer, Run(stages, w, 1, &report));
  EXPECT_EQ(RelativeWeightError(w, layer.weight()), 0);
}

TEST_P(StageConformanceTest, AwkwardRowsStayFinite) {
  Tensor w = RandomMatrix(8, 32, 2);
  std::fill_n(w.row(0), 32, 0.0f);    // zero
  std::fill_n(w.row(1), 32, 0.75f);   // constant
  std::fill_n(w.row(2), 32, -1e-7f);  // below the least scale step
  w.row(3)[7] = 1e4f;                 // outlier
  w.row(4)[0] = -60000.0f;
  for (const char* symmetric : {"symmetric=false", "symmetric=true"}) {
    ASSERT_OK_AND_ASSIGN(const auto stages,
                         Make({"bits=3", "group_size=8", symmetric}));
    LayerReport report;
    ASSERT_OK_AND_ASSIGN(const Linear layer, Run(stages, w, 2, &report));
    for (float v : layer.weight().values()) ASSERT_TRUE(std::isfinite(v));
    for (int64_t c = 0; c < 32; ++c) {
      EXPECT_EQ(layer.weight().row(0)[c], 0.0f);
    }
    EXPECT_TRUE(std::isfinite(report.weight_error));
  }
}

TEST_P(StageConformanceTest, OddShapesAndPerChannelGrids) {
  for (const auto& [rows, cols] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 8}, {33, 24}, {5, 3}, {17, 1}, {2, 130}}) {
    for (int bits : {2, 3, 5}) {
      ASSERT_OK_AND_ASSIGN(
          const auto stages,
          Make({"bits=" + std::to_string(bits), "group_size=-1"}));
      LayerReport report;
      ASSERT_OK_AND_ASSIGN(
          const Linear layer,
          Run(stages, RandomMatrix(rows, cols, 3), 2, &report));
      EXPECT_EQ(layer.rows(), rows);
      EXPECT_EQ(layer.cols(), cols);
    }
  }
}

TEST_P(StageConformanceTest, StandsBesideEverySolverWithAGrid) {
  if (is_solver()) return;
  for (const auto solver :
       {v1::Stage::kRtn, v1::Stage::kGptq, v1::Stage::kCoordinateDescent}) {
    ASSERT_OK_AND_ASSIGN(const auto stages,
                         Make({"bits=4", "group_size=16"}, solver));
    const Tensor w = RandomMatrix(16, 32, 6);
    LayerReport report;
    ASSERT_OK_AND_ASSIGN(const Linear layer, Run(stages, w, 2, &report));
    const double step = 2.0 / 15;
    EXPECT_LT(RelativeWeightError(w, layer.weight()), 4 * step * step)
        << solver;
  }
}

// What admission and forecasts go by.
TEST_P(StageConformanceTest, ForecastOfStoredBytesIsExact) {
  for (const auto& set : std::vector<std::vector<std::string>>{
           {"bits=3", "group_size=8"},
           {"bits=4", "group_size=-1", "symmetric=true"},
           {"bits=5", "group_size=24"}}) {
    ASSERT_OK_AND_ASSIGN(const auto stages, Make(set));
    LayerReport report;
    ASSERT_OK_AND_ASSIGN(const Linear layer,
                         Run(stages, RandomMatrix(13, 48, 8), 2, &report));
    uint64_t stored = 0;
    uint64_t added = 0;
    for (const auto& stage : stages) {
      const StageCost cost = stage->Cost({"layer", 13, 48});
      if (cost.stored_bytes > 0) {
        stored = cost.stored_bytes;
        EXPECT_GT(cost.working_bytes, 13 * 48 * sizeof(float));
        EXPECT_GT(cost.rounded_weights, 0);
      }
    }
    for (const auto& stage : stages) {
      added += stage->Cost({"layer", 13, 48}).added_bytes;
    }
    if (GetParam().role == StageRole::kAllocate) {
      // What is allocated is known when the weights are: at most this.
      EXPECT_LE(layer.compressed()->stored_bits(), 8 * (stored + added));
    } else {
      EXPECT_EQ(8 * (stored + added), layer.compressed()->stored_bits());
    }
  }
}

TEST_P(StageConformanceTest, DeadInputsAreSurvived) {
  ASSERT_OK_AND_ASSIGN(const auto stages, Make({"bits=3", "group_size=8"}));
  LayerReport report;
  ASSERT_OK_AND_ASSIGN(
      const Linear layer,
      Run(stages, RandomMatrix(9, 24, 4), 2, &report, /*dead_inputs=*/true));
  for (float v : layer.weight().values()) EXPECT_TRUE(std::isfinite(v));
}

// An expert that calibration never reached keeps its weights: what the
// statistics say nothing about is not thrown away.
TEST_P(StageConformanceTest, LayersThatNoTokenReachedAreRounded) {
  ASSERT_OK_AND_ASSIGN(const auto stages, Make({"bits=4", "group_size=8"}));
  const std::unique_ptr<Device> device = NewCpuDevice(2);
  ExecutionContext ctx(device.get());
  const Tensor w = RandomMatrix(12, 24, 7);
  Linear layer("layer", w.Clone(), std::nullopt);
  auto statistics = std::make_shared<LayerStatistics>();
  statistics->second_moment = SquareMatrix(24);
  statistics->mean_abs.assign(24, 0.0f);
  ASSERT_OK_AND_ASSIGN(const auto reports,
                       RunStages(stages, 0, {&layer}, std::move(statistics),
                                 SensitivitiesOf(w), ctx));
  ASSERT_NE(layer.compressed(), nullptr);
  const double step = 2.0 / 15;
  EXPECT_LT(RelativeWeightError(w, layer.weight()), step * step);
  EXPECT_LT(reports[0].output_error, 0) << "nothing was measured";
}

TEST_P(StageConformanceTest, BytesDoNotDependOnTheNumberOfThreads) {
  const Tensor w = RandomMatrix(70, 96, 5);
  std::vector<std::string> bytes;
  for (int threads : {1, 2, 4}) {
    ASSERT_OK_AND_ASSIGN(const auto stages, Make({"bits=3", "group_size=32",
                                                  "range_fit=SHRINK_SEARCH"}));
    LayerReport report;
    ASSERT_OK_AND_ASSIGN(const Linear layer, Run(stages, w, threads, &report));
    bytes.push_back(BytesOf(layer));
  }
  EXPECT_EQ(bytes[0], bytes[1]);
  EXPECT_EQ(bytes[0], bytes[2]);
}

TEST_P(StageConformanceTest, GroupSizeThatDoesNotDivideIsRefusedByName) {
  ASSERT_OK_AND_ASSIGN(const auto stages, Make({"group_size=48"}));
  EXPECT_THAT(ValidateAll(stages, {"model.layers.0.mlp.up_proj", 8, 64}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::AllOf(HasSubstr("group_size"),
                                      HasSubstr("48 does not divide the 64"),
                                      HasSubstr("up_proj"))));
}

TEST_P(StageConformanceTest, CancelledContextIsObeyed) {
  ASSERT_OK_AND_ASSIGN(const auto stages, Make({"group_size=8"}));
  const std::unique_ptr<Device> device = NewCpuDevice(1);
  ExecutionContext ctx(device.get());
  auto statistics = RandomStatistics(8, NeedsOf(stages), false, ctx);
  ctx.RequestCancel();
  Linear layer("layer", RandomMatrix(4, 8, 6), std::nullopt);
  EXPECT_THAT(RunStages(stages, 0, {&layer}, std::move(statistics), {}, ctx),
              StatusIs(absl::StatusCode::kCancelled, _));
}

INSTANTIATE_TEST_SUITE_P(Stages, StageConformanceTest,
                         testing::ValuesIn(BuiltinStages()),
                         [](const testing::TestParamInfo<StageRow>& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace quantd
