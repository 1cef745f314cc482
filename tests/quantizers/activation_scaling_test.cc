#include "quantizers/stages/activation_scaling.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "models/layouts/input_scale.h"
#include "proto/field_rules.h"
#include "quantizers/compiled_recipe.h"
#include "quantizers/grid.h"
#include "quantizers/layer_error.h"
#include "quantizers/round_to_nearest.h"
#include "tests/quantizers/random_matrices.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::RandomMatrix;
using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

constexpr int64_t kCols = 32;

class ActivationScalingTest : public testing::Test {
 protected:
  ActivationScalingTest() {
    v1::Stage stage;
    stage.mutable_activation_scaling();
    FillDefaults(&stage);
    stage_ = NewActivationScalingStage(stage.activation_scaling());
    v1::Stage rtn;
    rtn.mutable_rtn();
    FillDefaults(&rtn);
    EXPECT_THAT(ApplyAssignment(&rtn, "bits=3"), IsOk());
    EXPECT_THAT(ApplyAssignment(&rtn, "group_size=16"), IsOk());
    grid_ = NewGrid(rtn.rtn().grid());
    stage_->set_solver_grid(grid_.get());
  }

  // Inputs of which two channels are a hundred times the others.
  std::shared_ptr<const LayerStatistics> Statistics() {
    Tensor x = RandomMatrix(400, kCols, 5);
    auto statistics = std::make_shared<LayerStatistics>();
    statistics->mean_abs.assign(kCols, 0.0f);
    for (int64_t t = 0; t < x.rows(); ++t) {
      x.row(t)[3] *= 100;
      x.row(t)[20] *= 100;
      for (int64_t c = 0; c < kCols; ++c) {
        statistics->mean_abs[static_cast<size_t>(c)] +=
            std::abs(x.row(t)[c]) / 400;
      }
    }
    SecondMomentAccumulator moment(kCols);
    moment.Add(x, 4, ctx_);
    statistics->tokens = 400;
    statistics->second_moment = std::move(moment).Finish();
    statistics->sample = x;
    return statistics;
  }

  BlockWork Work(std::shared_ptr<const LayerStatistics> statistics,
                 int layers) {
    BlockWork work;
    for (int i = 0; i < layers; ++i) {
      LayerWork item;
      item.name = "layer" + std::to_string(i);
      item.weight = RandomMatrix(12 + i, kCols, 10 + static_cast<uint64_t>(i));
      item.statistics = statistics;
      work.layers.push_back(std::move(item));
    }
    return work;
  }

  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
  std::unique_ptr<Stage> stage_;
  std::unique_ptr<Grid> grid_;
};

TEST_F(ActivationScalingTest, ScaledLayersComputeWhatTheOriginalsDo) {
  const auto statistics = Statistics();
  BlockWork work = Work(statistics, 2);
  const BlockWork original = work;
  ASSERT_THAT(stage_->ProcessBlock(work, ctx_), IsOk());
  for (size_t i = 0; i < 2; ++i) {
    const Tensor& w = original.layers[i].weight;
    const Tensor& scaled = work.layers[i].weight;
    const Tensor& x = statistics->sample;
    const Tensor& y = work.layers[i].statistics->sample;
    for (int64_t t = 0; t < 50; ++t) {
      for (int64_t r = 0; r < w.rows(); ++r) {
        double before = 0;
        double after = 0;
        for (int64_t c = 0; c < kCols; ++c) {
          before += double{w.row(r)[c]} * x.row(t)[c];
          after += double{scaled.row(r)[c]} * y.row(t)[c];
        }
        ASSERT_NEAR(before, after, 1e-4 * (1 + std::abs(before)));
      }
    }
  }
  // What layers of one set share goes on being shared.
  EXPECT_EQ(work.layers[0].statistics, work.layers[1].statistics);
  // The scaled second moment is that of the scaled inputs.
  SecondMomentAccumulator moment(kCols);
  moment.Add(work.layers[0].statistics->sample, 4, ctx_);
  const SquareMatrix expected = std::move(moment).Finish();
  for (size_t i = 0; i < expected.values.size(); ++i) {
    const double value = work.layers[0].statistics->second_moment.values[i];
    ASSERT_NEAR(value, expected.values[i], 1e-4 * (1 + std::abs(value)));
  }
}

TEST_F(ActivationScalingTest, LossIsNeverAboveThatWithoutScales) {
  const auto statistics = Statistics();
  const Tensor h = ToFloat(statistics->second_moment);
  BlockWork work = Work(statistics, 3);
  double plain = 0;
  std::vector<Tensor> weights;
  for (const LayerWork& item : work.layers) {
    LayerWork trial = item;
    ASSERT_THAT(RoundToNearest(*grid_, {}, trial, ctx_), IsOk());
    weights.push_back(item.weight);
    plain += RelativeOutputError(item.weight, trial.compressed->Decode(ctx_), h,
                                 ctx_) *
             OutputEnergy(item.weight, h, ctx_);
  }
  ASSERT_THAT(stage_->ProcessBlock(work, ctx_), IsOk());
  double searched = 0;
  for (size_t i = 0; i < 3; ++i) {
    LayerWork& item = work.layers[i];
    ASSERT_THAT(RoundToNearest(*grid_, {}, item, ctx_), IsOk());
    ASSERT_OK_AND_ASSIGN(const auto back,
                         item.transforms.at(0)(item.compressed));
    EXPECT_EQ(back->layout(), kInputScaleLayout);
    searched += RelativeOutputError(weights[i], back->Decode(ctx_), h, ctx_) *
                OutputEnergy(weights[i], h, ctx_);
  }
  // Channels a hundred times as large are worth much.
  EXPECT_LT(searched, 0.5 * plain);
}

TEST_F(ActivationScalingTest, EqualInputsKeepScalesOfOne) {
  auto statistics = std::make_shared<LayerStatistics>(*Statistics());
  std::fill(statistics->mean_abs.begin(), statistics->mean_abs.end(), 0.7f);
  BlockWork work = Work(statistics, 1);
  const Tensor before = work.layers[0].weight;
  ASSERT_THAT(stage_->ProcessBlock(work, ctx_), IsOk());
  EXPECT_EQ(RelativeWeightError(before, work.layers[0].weight), 0);
}

TEST_F(ActivationScalingTest, SolversWithoutGridAreRefused) {
  stage_->set_solver_grid(nullptr);
  EXPECT_THAT(
      stage_->Validate({"up_proj", 8, 32}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has no grid")));
}

}  // namespace
}  // namespace quantd
