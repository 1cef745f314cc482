#include "models/tokenizers/safe_cuts.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Parts(const SafeCuts& cuts, const std::string& text) {
  std::vector<std::string> parts;
  cuts.VisitParts(text,
                  [&](absl::string_view part) { parts.emplace_back(part); });
  return parts;
}

constexpr char kMark[] = "\xE2\x96\x81";

TEST(SafeCutsTest, CutsBeforeMarksUnlessAMergeReachesAcross) {
  SafeCuts cuts;
  cuts.AllowUnknown();
  cuts.AddMerge("a", "b");
  const std::string text = std::string("ab") + kMark + "ab" + kMark + "b";
  EXPECT_THAT(Parts(cuts, text), ElementsAre("ab", std::string(kMark) + "ab",
                                             std::string(kMark) + "b"));
  // Some token ends in b and one that follows it begins with the mark.
  cuts.AddMerge("xb", std::string(kMark) + "y");
  EXPECT_THAT(Parts(cuts, text), ElementsAre(text));
  EXPECT_THAT(Parts(cuts, ""), ElementsAre());
}

TEST(SafeCutsTest, RunsOfUnknownCharactersStayTogether) {
  SafeCuts cuts;
  cuts.AddCharacter('a');
  EXPECT_THAT(Parts(cuts, "x y"), ElementsAre("x y"));
  cuts.AddCharacter(' ');
  EXPECT_THAT(Parts(cuts, "x y"), ElementsAre("x", " y"));
}

TEST(SafeCutsTest, LongPartsAreCutWhereverThatIsSafe) {
  SafeCuts cuts;
  cuts.AllowUnknown();
  cuts.AddMerge("a", "b");
  cuts.AddMerge("ab", "ab");
  std::string text;
  for (int i = 0; i < 40; ++i) text += "abc";
  std::vector<std::string> expected;
  for (int i = 0; i < 40; ++i) {
    expected.push_back("ab");
    expected.push_back("c");
  }
  EXPECT_EQ(Parts(cuts, text), expected);
}

}  // namespace
}  // namespace quantd::test
