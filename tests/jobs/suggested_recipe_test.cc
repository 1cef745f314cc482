#include "jobs/suggested_recipe.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "quantizers/layer_rules.h"
#include "quantizers/recipe.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kUp[] = "model.layers.0.mlp.up_proj";
constexpr char kDown[] = "model.layers.0.mlp.down_proj";
constexpr char kTenth[] = "model.layers.10.mlp.up_proj";

const std::vector<std::string>& Layers() {
  static const auto& layers = *new std::vector<std::string>{kUp, kDown, kTenth};
  return layers;
}

v1::BitSuggestion Changes(
    const std::vector<std::pair<std::string, int>>& changes) {
  v1::BitSuggestion suggestion;
  for (const auto& [name, change] : changes) {
    v1::UnitBits* unit = suggestion.add_units();
    unit->set_name(name);
    unit->set_change(change);
  }
  return suggestion;
}

// The bits that a recipe gives a layer, by its only stage, a solver.
uint32_t BitsOf(const v1::Recipe& recipe, const std::string& layer) {
  const auto rules = LayerRules::Compile(recipe);
  EXPECT_THAT(rules, IsOk());
  if (!rules.ok()) return 0;
  const auto& stages = rules->StagesOf(rules->Match(layer));
  return stages.empty() ? 16 : stages[0].rtn().grid().affine().bits();
}

TEST(SuggestedRecipeTest, BlocksBecomeOnePatternEach) {
  ASSERT_OK_AND_ASSIGN(const v1::Recipe rtn, ResolveRecipe("rtn", {"bits=3"}));
  ASSERT_OK_AND_ASSIGN(const SuggestedRecipe suggested,
                       SuggestedRecipe::Of(rtn, Layers()));
  v1::BitSuggestion suggestion = Changes(
      {{"model.layers.0", 2}, {"model.layers.1", 0}, {"model.layers.10", -1}});
  ASSERT_THAT(suggested.AddTo(&suggestion), IsOk());
  ASSERT_THAT(suggestion.layer_rules(), SizeIs(2));
  EXPECT_EQ(suggestion.layer_rules(0).pattern(), "model\\.layers\\.0\\..*");
  EXPECT_THAT(suggestion.layer_rules(0).set(), ElementsAre("bits=5"));
  EXPECT_THAT(suggestion.layer_rules(1).set(), ElementsAre("bits=2"));
  // What is printed is a recipe, and gives the layers these bits.
  ASSERT_OK_AND_ASSIGN(const v1::Recipe parsed,
                       ParseRecipe(suggestion.recipe()));
  ASSERT_OK_AND_ASSIGN(const v1::Recipe complete, CompleteRecipe(parsed, {}));
  EXPECT_EQ(complete.name(), "rtn-suggested");
  EXPECT_EQ(BitsOf(complete, kUp), 5u);
  EXPECT_EQ(BitsOf(complete, kDown), 5u);
  EXPECT_EQ(BitsOf(complete, kTenth), 2u);
  EXPECT_EQ(BitsOf(complete, "model.layers.1.mlp.up_proj"), 3u);
}

TEST(SuggestedRecipeTest, LayersKeepWhatTheirRuleSaysBesideTheBits) {
  ASSERT_OK_AND_ASSIGN(v1::Recipe rtn, ResolveRecipe("rtn", {"bits=4"}));
  v1::LayerRule* down = rtn.add_layer_rules();
  down->set_pattern(".*down_proj");
  down->add_set("bits=6");
  down->add_set("group_size=32");
  v1::LayerRule* kept = rtn.add_layer_rules();
  kept->set_pattern(".*o_proj");
  kept->set_keep_float(true);
  ASSERT_OK_AND_ASSIGN(rtn, CompleteRecipe(rtn, {}));
  ASSERT_OK_AND_ASSIGN(const SuggestedRecipe suggested,
                       SuggestedRecipe::Of(rtn, Layers()));
  v1::BitSuggestion suggestion = Changes({{"model.layers.0", -1}, {kTenth, 1}});
  ASSERT_THAT(suggested.AddTo(&suggestion), IsOk());
  // Of a block with rules of its own, layer by layer.
  ASSERT_THAT(suggestion.layer_rules(), SizeIs(3));
  ASSERT_OK_AND_ASSIGN(v1::Recipe recipe, ParseRecipe(suggestion.recipe()));
  ASSERT_OK_AND_ASSIGN(recipe, CompleteRecipe(recipe, {}));
  EXPECT_EQ(BitsOf(recipe, kUp), 3u);
  EXPECT_EQ(BitsOf(recipe, kDown), 5u);
  EXPECT_EQ(BitsOf(recipe, kTenth), 5u);
  EXPECT_EQ(BitsOf(recipe, "model.layers.2.mlp.down_proj"), 6u);
  EXPECT_EQ(BitsOf(recipe, "model.layers.0.self_attn.o_proj"), 16u);
  ASSERT_OK_AND_ASSIGN(const LayerRules rules, LayerRules::Compile(recipe));
  EXPECT_EQ(
      rules.StagesOf(rules.Match(kDown))[0].rtn().grid().affine().group_size(),
      32);
  // A suggestion for what was made of a suggestion goes before it.
  ASSERT_OK_AND_ASSIGN(const SuggestedRecipe again,
                       SuggestedRecipe::Of(recipe, Layers()));
  v1::BitSuggestion second = Changes({{kDown, 1}});
  ASSERT_THAT(again.AddTo(&second), IsOk());
  ASSERT_OK_AND_ASSIGN(recipe, ParseRecipe(second.recipe()));
  EXPECT_EQ(recipe.name(), "rtn-suggested");
  EXPECT_EQ(BitsOf(recipe, kDown), 6u);
  EXPECT_EQ(BitsOf(recipe, kUp), 3u);
}

TEST(SuggestedRecipeTest, ChangesEndWhereTheOptionDoes) {
  ASSERT_OK_AND_ASSIGN(v1::Recipe rtn, ResolveRecipe("rtn", {"bits=3"}));
  v1::LayerRule* rule = rtn.add_layer_rules();
  rule->set_pattern(".*down_proj");
  rule->add_set("bits=7");
  ASSERT_OK_AND_ASSIGN(const SuggestedRecipe suggested,
                       SuggestedRecipe::Of(rtn, Layers()));
  // An affine grid has 2 to 8 bits.
  EXPECT_EQ(suggested.ChangesOf(kUp).least, -1);
  EXPECT_EQ(suggested.ChangesOf(kUp).most, 2);
  EXPECT_EQ(suggested.ChangesOf(kDown).least, -2);
  EXPECT_EQ(suggested.ChangesOf(kDown).most, 1);
  EXPECT_EQ(suggested.ChangesOf("model.layers.0").least, -1);
  EXPECT_EQ(suggested.ChangesOf("model.layers.0").most, 1);
  // "model.layers.1" is not the beginning of "model.layers.10".
  EXPECT_EQ(suggested.ChangesOf("model.layers.1").least, 0);
  EXPECT_EQ(suggested.ChangesOf("model.layers.1").most, 0);
  v1::BitSuggestion suggestion = Changes({{"model.layers.1", 1}});
  EXPECT_THAT(suggested.AddTo(&suggestion),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("model.layers.1 has no layers")));
  EXPECT_EQ(suggestion.recipe(), "");
}

// Of every method that is part of the program: its bits are known and what is
// suggested is a recipe, or it says that it has no such option.
TEST(SuggestedRecipeTest, EveryBuiltinRecipeHasRulesOrSaysWhyNot) {
  int with_rules = 0;
  for (const v1::Recipe& recipe : BuiltinRecipes()) {
    SCOPED_TRACE(recipe.name());
    const auto suggested = SuggestedRecipe::Of(recipe, Layers());
    if (!suggested.ok()) {
      EXPECT_THAT(suggested.status(),
                  StatusIs(absl::StatusCode::kFailedPrecondition,
                           HasSubstr("no single option \"bits\"")));
      continue;
    }
    const BitChanges changes = suggested->ChangesOf(kUp);
    EXPECT_LT(changes.least, changes.most);
    for (const int change : {changes.least, changes.most}) {
      v1::BitSuggestion suggestion = Changes({{kUp, change}});
      EXPECT_THAT(suggested->AddTo(&suggestion), IsOk());
      EXPECT_THAT(ParseRecipe(suggestion.recipe()), IsOk());
    }
    ++with_rules;
  }
  EXPECT_GT(with_rules, 20);
}

TEST(SuggestedRecipeTest, ReadsWhatAnArtifactSaysOfItself) {
  test::TempDir dir;
  EXPECT_THAT(SuggestedRecipe::Open(dir.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("quantd.json")));
  const auto write = [&](const std::string& text) {
    ASSERT_THAT(WriteFileDurably(dir.File("quantd.json"), text), IsOk());
  };
  write(absl::StrCat(R"({"recipe": {"name": "r", "stages": [{"rtn": {"grid": )",
                     R"({"affine": {"bits": 3}}}}]}, "layers": [{"layer": ")",
                     kUp, R"("}]})"));
  ASSERT_OK_AND_ASSIGN(const SuggestedRecipe suggested,
                       SuggestedRecipe::Open(dir.path()));
  EXPECT_EQ(suggested.ChangesOf("model.layers.0").least, -1);
  for (const char* broken :
       {"{", "{}", R"({"recipe": 3})", R"({"recipe": {"stages": 3}})",
        R"({"recipe": {"unknown": 3}, "layers": []})",
        R"({"recipe": {}, "layers": [3]})",
        R"({"recipe": {}, "layers": [{"layer": 3}]})"}) {
    write(broken);
    EXPECT_THAT(SuggestedRecipe::Open(dir.path()).status(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("")))
        << broken;
  }
}

}  // namespace
}  // namespace quantd
