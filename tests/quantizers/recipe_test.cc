#include "quantizers/recipe.h"

#include <set>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "quantizers/grid.h"
#include "quantizers/recipe_files.h"
#include "quantizers/stage.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

TEST(RecipeTest, EveryRecipeFileIsABuiltinRecipeWithItsOwnName) {
  // BuiltinRecipes() leaves out what does not parse; nothing may be left out.
  ASSERT_EQ(BuiltinRecipes().size(), RecipeFiles().size());
  std::set<std::string> names;
  for (const RecipeFile& file : RecipeFiles()) {
    ASSERT_OK_AND_ASSIGN(const v1::Recipe recipe, ParseRecipe(file.text));
    EXPECT_EQ(recipe.name() + ".textproto", file.name);
    EXPECT_TRUE(names.insert(recipe.name()).second);
    EXPECT_FALSE(recipe.title().empty());
    EXPECT_FALSE(recipe.citation().empty());
    EXPECT_FALSE(recipe.description().empty());
    EXPECT_THAT(CompleteRecipe(recipe, {}), IsOk());
  }
}

TEST(RecipeTest, StageTableCoversTheContract) {
  std::set<int> kinds;
  for (const StageRow& row : BuiltinStages()) kinds.insert(row.kind);
  const auto* oneof = v1::Stage::descriptor()->FindOneofByName("kind");
  ASSERT_EQ(static_cast<int>(kinds.size()), oneof->field_count());
  for (const StageRow& row : BuiltinStages()) {
    const auto* field =
        v1::Stage::descriptor()->FindFieldByNumber(static_cast<int>(row.kind));
    ASSERT_NE(field, nullptr);
    EXPECT_EQ(field->name(), std::string(row.name));
  }
}

TEST(RecipeTest, GridTableCoversTheContract) {
  const auto* oneof = v1::Grid::descriptor()->FindOneofByName("kind");
  std::set<int> kinds;
  for (const GridRow& row : BuiltinGrids()) {
    kinds.insert(row.kind);
    const auto* field =
        v1::Grid::descriptor()->FindFieldByNumber(static_cast<int>(row.kind));
    ASSERT_NE(field, nullptr);
    EXPECT_EQ(field->name(), std::string(row.name));
  }
  EXPECT_EQ(static_cast<int>(kinds.size()), oneof->field_count());
}

TEST(RecipeTest, ResolvingWritesEveryDefaultOut) {
  ASSERT_OK_AND_ASSIGN(const v1::Recipe recipe,
                       ResolveRecipe("gptq", {"bits=3", "group_size=32"}));
  const v1::GptqStage& stage = recipe.stages(0).gptq();
  EXPECT_EQ(stage.grid().affine().bits(), 3u);
  EXPECT_EQ(stage.grid().affine().group_size(), 32);
  EXPECT_TRUE(stage.grid().affine().has_symmetric());
  EXPECT_TRUE(stage.has_damping());
  EXPECT_DOUBLE_EQ(stage.damping(), 0.01);
  EXPECT_TRUE(stage.act_order());
  EXPECT_TRUE(recipe.needs_calibration());
  ASSERT_OK_AND_ASSIGN(const v1::Recipe rtn, ResolveRecipe("rtn", {}));
  EXPECT_FALSE(rtn.needs_calibration());
}

TEST(RecipeTest, OptionsOfOneTypeAreSetInEveryStage) {
  ASSERT_OK_AND_ASSIGN(const v1::Recipe recipe,
                       ResolveRecipe("slim-llm", {"bits=3", "group_size=32"}));
  for (const v1::AffineGrid& grid : {recipe.stages(0).bit_allocation().grid(),
                                     recipe.stages(1).gptq().grid().affine()}) {
    EXPECT_EQ(grid.bits(), 3u);
    EXPECT_EQ(grid.group_size(), 32);
  }
}

TEST(RecipeTest, RoundingNeedsCalibrationOnlyWhereTheGridUsesIt) {
  for (const auto& [metric, needs] :
       {std::pair("HESSIAN", true), std::pair("MAGNITUDE", false)}) {
    ASSERT_OK_AND_ASSIGN(
        v1::Recipe recipe,
        ParseRecipe("name: \"x\" stages { rtn { grid { partially_binary { "
                    "metric: " +
                    std::string(metric) + " } } } }"));
    ASSERT_OK_AND_ASSIGN(recipe, CompleteRecipe(std::move(recipe), {}));
    EXPECT_EQ(recipe.needs_calibration(), needs) << metric;
  }
}

TEST(RecipeTest, BadRequestsNameTheFault) {
  EXPECT_THAT(ResolveRecipe("gtpq", {}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("known: ")));
  struct Row {
    std::string assignment;
    std::string expected;
  };
  for (const Row& row :
       {Row{"bits=9", "2..8"}, Row{"bits=1", "2..8"}, Row{"bits=x", "bits"},
        Row{"bitz=3", "bits"}, Row{"group_size=-2", "group_size"},
        Row{"damping=1.5", "damping"}, Row{"bits", "bits"},
        Row{"name=evil", "name: no such option"},
        Row{"=3", "no such option"}}) {
    EXPECT_THAT(
        ResolveRecipe("gptq", {row.assignment}),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.expected)))
        << row.assignment;
  }
}

TEST(RecipeTest, RefusalsAreTextWhateverTheRecipeIs) {
  const auto quoted =
      ParseRecipe("stages { rtn { grid { affine { bits: \"\xFF\" } } } }");
  EXPECT_THAT(quoted, StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("got: \"\\xff\"")));
  // As an escape it is a string, but not one that a message can carry.
  ASSERT_OK_AND_ASSIGN(
      const v1::Recipe title,
      ParseRecipe("name: \"x\" title: \"\\377\" stages { rtn {} }"));
  EXPECT_THAT(
      CompleteRecipe(title, {}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("recipe.title: \"\\xff\" is not valid UTF-8")));
  EXPECT_THAT(ResolveRecipe("\xFF", {}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("\"\\xff\"")));
  EXPECT_THAT(
      ResolveRecipe("gptq", {"\xFF=1"}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\\xff: no")));
}

TEST(RecipeTest, ParseErrorsTellLineAndColumn) {
  EXPECT_THAT(ParseRecipe("name: \"x\"\nstages { rtm {} }"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("line 2, column")));
  EXPECT_THAT(CompleteRecipe(v1::Recipe(), {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("name")));
  ASSERT_OK_AND_ASSIGN(const v1::Recipe empty_stage,
                       ParseRecipe("name: \"x\" stages {}"));
  EXPECT_THAT(
      CompleteRecipe(empty_stage, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("stages[0]")));
}

TEST(RecipeTest, DigestFollowsTheContent) {
  ASSERT_OK_AND_ASSIGN(const v1::Recipe a, ResolveRecipe("rtn", {"bits=3"}));
  ASSERT_OK_AND_ASSIGN(const v1::Recipe b, ResolveRecipe("rtn", {"bits=3"}));
  ASSERT_OK_AND_ASSIGN(const v1::Recipe c, ResolveRecipe("rtn", {"bits=4"}));
  EXPECT_EQ(RecipeDigest(a), RecipeDigest(b));
  EXPECT_NE(RecipeDigest(a), RecipeDigest(c));
}

}  // namespace
}  // namespace quantd
