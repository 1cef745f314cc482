#include "quantizers/layer_rules.h"

#include "gmock/gmock.h"
#include "quantizers/recipe.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

v1::Recipe Rtn() { return *FindBuiltinRecipe("rtn"); }

v1::LayerRule& AddRule(v1::Recipe* recipe, const std::string& pattern) {
  v1::LayerRule& rule = *recipe->add_layer_rules();
  rule.set_pattern(pattern);
  return rule;
}

TEST(LayerRulesTest, FirstMatchWinsAndPatternsCoverTheWholeName) {
  v1::Recipe recipe = Rtn();
  AddRule(&recipe, ".*\\.down_proj").add_set("bits=8");
  AddRule(&recipe, "model\\.layers\\.0\\..*").set_keep_float(true);
  ASSERT_OK_AND_ASSIGN(const LayerRules rules, LayerRules::Compile(recipe));
  EXPECT_EQ(rules.Match("model.layers.0.mlp.down_proj"), 0);
  EXPECT_EQ(rules.Match("model.layers.0.mlp.up_proj"), 1);
  EXPECT_EQ(rules.Match("model.layers.1.mlp.up_proj"), -1);
  EXPECT_EQ(rules.Match("xmodel.layers.0.mlp.up_proj"), -1);
  EXPECT_EQ(rules.StagesOf(0)[0].rtn().grid().affine().bits(), 8u);
  EXPECT_EQ(rules.StagesOf(-1)[0].rtn().grid().affine().bits(), 4u);
  EXPECT_TRUE(rules.StagesOf(1).empty());
}

TEST(LayerRulesTest, BrokenRulesAreRefusedByName) {
  v1::Recipe recipe = Rtn();
  AddRule(&recipe, "(unclosed");
  EXPECT_THAT(LayerRules::Compile(recipe).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("layer_rules[0].pattern")));
  recipe = Rtn();
  AddRule(&recipe, ".*").add_set("bitz=8");
  EXPECT_THAT(LayerRules::Compile(recipe).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bitz")));
  recipe = Rtn();
  v1::LayerRule& both = AddRule(&recipe, ".*");
  both.set_keep_float(true);
  both.add_set("bits=8");
  EXPECT_THAT(LayerRules::Compile(recipe).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("both keep_float and set")));
}

}  // namespace
}  // namespace quantd
