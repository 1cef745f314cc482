#include "server/resource_names.h"

#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::HasSubstr;

TEST(ResourceNamesTest, IdsAreLettersDigitsAndInnerPunctuation) {
  for (const char* id : {"a", "7", "llama-3.1_8B", "A.b-c_d9"}) {
    EXPECT_TRUE(IsResourceId(id)) << id;
  }
  for (const char* id :
       {"", "-a", "a-", ".", "a/b", "a b", "..", "a\n", "\xc3\xa4"}) {
    EXPECT_FALSE(IsResourceId(id)) << id;
  }
  EXPECT_TRUE(IsResourceId(std::string(128, 'a')));
  EXPECT_FALSE(IsResourceId(std::string(129, 'a')));
}

TEST(ResourceNamesTest, FullNamesAndBareIdsMeanTheSame) {
  EXPECT_EQ(*ResourceId("models", "models/x"), "x");
  EXPECT_EQ(*ResourceId("models", "x"), "x");
}

TEST(ResourceNamesTest, NamesOfOtherCollectionsAndPathsAreRefused) {
  for (const char* name : {"", "datasets/x", "models/", "models/x/y",
                           "models/../x", "models/models/x"}) {
    EXPECT_THAT(
        ResourceId("models", name, "target"),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("target")))
        << name;
  }
}

}  // namespace
}  // namespace quantd::test
