#include "quantizers/stages/clip.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "proto/field_rules.h"
#include "quantizers/affine_grid.h"
#include "quantizers/grid.h"
#include "quantizers/layer_error.h"
#include "tests/quantizers/random_matrices.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::RandomMatrix;
using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

constexpr int64_t kRows = 5;
constexpr int64_t kCols = 32;
constexpr int64_t kGroup = 8;

class ClipTest : public testing::Test {
 protected:
  ClipTest() {
    v1::Stage rtn;
    rtn.mutable_rtn();
    FillDefaults(&rtn);
    EXPECT_THAT(ApplyAssignment(&rtn, "bits=3"), IsOk());
    EXPECT_THAT(ApplyAssignment(&rtn, "group_size=8"), IsOk());
    grid_ = NewGrid(rtn.rtn().grid());
    stage_ = Make({});
  }

  std::unique_ptr<Stage> Make(const std::vector<std::string>& assignments) {
    v1::Stage options;
    options.mutable_clip();
    FillDefaults(&options);
    for (const std::string& assignment : assignments) {
      EXPECT_THAT(ApplyAssignment(&options, assignment), IsOk());
    }
    auto stage = NewClipStage(options.clip());
    stage->set_solver_grid(grid_.get());
    return stage;
  }

  BlockWork Work(const std::string& name, const Tensor& weight) {
    auto statistics = std::make_shared<LayerStatistics>();
    SecondMomentAccumulator moment(kCols);
    moment.Add(RandomMatrix(200, kCols, 3), 2, ctx_);
    statistics->tokens = 200;
    statistics->second_moment = std::move(moment).Finish();
    BlockWork work;
    LayerWork item;
    item.name = name;
    item.weight = weight.Clone();
    item.statistics = statistics;
    work.layers.push_back(std::move(item));
    return work;
  }

  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
  std::unique_ptr<Grid> grid_;
  std::unique_ptr<Stage> stage_;
};

// Brute force over rows, groups and candidates, in float64.
TEST_F(ClipTest, EveryGroupIsClampedToTheRangeThatRoundsBest) {
  Tensor w = RandomMatrix(kRows, kCols, 1);
  w.row(2)[9] = 4.0f;  // one that is worth clipping
  BlockWork work = Work("model.layers.0.mlp.up_proj", w);
  const SquareMatrix& h = work.layers[0].statistics->second_moment;
  AffineGridOptions options;
  options.bits = 3;
  Tensor expected = w.Clone();
  int clipped = 0;
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t g = 0; g < kCols; g += kGroup) {
      float most = 0;
      for (int64_t c = 0; c < kGroup; ++c) {
        most = std::max(most, std::abs(w.row(r)[g + c]));
      }
      double least = INFINITY;
      for (int i = 0; i < 10; ++i) {
        const float limit =
            static_cast<float>((1 - i / 20.0) * static_cast<double>(most));
        std::vector<float> clamped;
        for (int64_t c = 0; c < kGroup; ++c) {
          clamped.push_back(std::clamp(w.row(r)[g + c], -limit, limit));
        }
        const GroupGrid grid = FitGroupGrid<float>(clamped, options);
        std::vector<double> d;
        for (int64_t c = 0; c < kGroup; ++c) {
          d.push_back(
              w.row(r)[g + c] -
              DecodeWeight<float>(EncodeWeight(clamped[static_cast<size_t>(c)],
                                               grid, options.max_code()),
                                  grid));
        }
        double error = 0;
        for (int64_t a = 0; a < kGroup; ++a) {
          for (int64_t b = 0; b < kGroup; ++b) {
            error += d[static_cast<size_t>(a)] * h.at(g + a, g + b) *
                     d[static_cast<size_t>(b)];
          }
        }
        if (error < least * (1 - 1e-6)) {
          least = error;
          std::copy(clamped.begin(), clamped.end(), expected.row(r) + g);
          clipped += i > 0 ? 1 : 0;
        }
      }
    }
  }
  ASSERT_GT(clipped, 0);
  ASSERT_THAT(stage_->ProcessBlock(work, ctx_), IsOk());
  for (int64_t i = 0; i < w.size(); ++i) {
    EXPECT_NEAR(work.layers[0].weight.data()[i], expected.data()[i], 1e-6) << i;
  }
}

TEST_F(ClipTest, QueriesAndKeysAreLeftAlone) {
  Tensor w = RandomMatrix(kRows, kCols, 1);
  w.row(2)[9] = 4.0f;
  for (const char* name :
       {"model.layers.0.self_attn.q_proj", "model.layers.3.self_attn.k_proj",
        "transformer.h.1.self_attention.query_key_value"}) {
    BlockWork work = Work(name, w);
    ASSERT_THAT(stage_->ProcessBlock(work, ctx_), IsOk());
    EXPECT_EQ(RelativeWeightError(w, work.layers[0].weight), 0) << name;
  }
  BlockWork work = Work("model.layers.0.self_attn.v_proj", w);
  ASSERT_THAT(stage_->ProcessBlock(work, ctx_), IsOk());
  EXPECT_GT(RelativeWeightError(w, work.layers[0].weight), 0);
}

TEST_F(ClipTest, BrokenPatternsAndMissingGridsAreRefusedByName) {
  EXPECT_THAT(Make({"skip_pattern=("})->Validate({"up_proj", 8, 32}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("clip.skip_pattern")));
  stage_->set_solver_grid(nullptr);
  EXPECT_THAT(
      stage_->Validate({"up_proj", 8, 32}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has no grid")));
}

}  // namespace
}  // namespace quantd
