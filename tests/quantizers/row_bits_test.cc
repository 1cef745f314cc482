// Importance-based mixed precision: who gets wide codes, and what is stored.
#include "quantizers/stages/row_bits.h"

#include <numeric>
#include <vector>

#include "gmock/gmock.h"
#include "tests/quantizers/tiny_network.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(RowImportanceTest, IsTheSumOfWeightTimesSlope) {
  const Tensor w = Tensor::FromValues({2, 3}, {1, -2, 3, 0.5f, 0, -4});
  const Tensor g = Tensor::FromValues({2, 3}, {2, 1, 0, 1, 9, 0.25f});
  EXPECT_THAT(RowImportance(w, g), ElementsAre(4, 1.5));
}

TEST(WidthsByImportanceTest, TheAverageIsTheBudgetToOneRow) {
  EXPECT_THAT(WidthsByImportance({1, 5, 5, 2, 3}, 0.4, 2, 8),
              ElementsAre(2, 8, 8, 2, 2));
  EXPECT_THAT(WidthsByImportance({1, 5, 5, 2, 3}, 0.2, 2, 8),
              ElementsAre(2, 8, 2, 2, 2))
      << "the first of equals";
  EXPECT_THAT(WidthsByImportance({1, 2}, 1, 3, 6), ElementsAre(6, 6));
  EXPECT_THAT(WidthsByImportance({1, 2}, 0, 3, 6), ElementsAre(3, 3));
  for (int64_t rows = 1; rows < 70; ++rows) {
    std::vector<double> importance(static_cast<size_t>(rows));
    std::iota(importance.begin(), importance.end(), 0);
    const auto widths = WidthsByImportance(importance, 1.0 / 6, 2, 8);
    const double mean = std::accumulate(widths.begin(), widths.end(), 0.0) /
                        static_cast<double>(rows);
    EXPECT_LE(std::abs(mean - 3), 6.0 / 2 / static_cast<double>(rows) + 1e-9);
  }
}

class RowBitsTest : public test::TinyNetworkTest {};

TEST_F(RowBitsTest, WideRowsAreStoredAsSuch) {
  ASSERT_OK_AND_ASSIGN(
      const auto outcome,
      RunMethod("neuron-bits", {"steps=2", "wide_share=0.25", "bits=2"}, "w"));
  ASSERT_OK_AND_ASSIGN(auto made, Checkpoint::Open(outcome.artifact_directory));
  ASSERT_OK_AND_ASSIGN(const auto model, Model::Open(made));
  ASSERT_OK_AND_ASSIGN(const auto block, model->LoadBlock(0, ctx_));
  for (const Linear& layer : block->linears()) {
    EXPECT_EQ(layer.compressed()->layout(), "mixed-int.v1") << layer.name();
    // A quarter of the rows of 8 bits among 2, and scale, zero and width.
    EXPECT_GT(layer.compressed()->bits_per_weight(), 3.5);
  }
}

TEST_F(RowBitsTest, SaysWhatItNeeds) {
  const auto run = [&](const std::string& stages) -> absl::Status {
    ASSIGN_OR_RETURN(v1::Recipe recipe, ParseRecipe("name: \"x\" " + stages));
    ASSIGN_OR_RETURN(recipe, CompleteRecipe(recipe, {}));
    ASSIGN_OR_RETURN(CompiledRecipe compiled, CompiledRecipe::Compile(recipe));
    RETURN_IF_ERROR(compiled.CheckFits(model_->description()));
    RecipeRun run;
    run.model = model_;
    run.recipe = std::make_shared<const CompiledRecipe>(std::move(compiled));
    run.workspace = workspaces_.path() + "/x";
    run.calibration = windows_;
    return RunRecipe(run, ctx_).status();
  };
  EXPECT_THAT(
      run("stages { row_bits { grid { group_size: -1 bits: 2 } } } "
          "stages { rtn { grid { affine { bits: 2 group_size: -1 } } } }"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("stage sensitivity before it")));
  EXPECT_THAT(
      run("stages { sensitivity {} } stages { row_bits { wide_bits: 3 "
          "grid { bits: 4 group_size: 8 } } } stages { rtn { grid { affine { "
          "group_size: 8 } } } }"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("row_bits.wide_bits")));
}

}  // namespace
}  // namespace quantd
