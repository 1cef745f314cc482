#include "evaluators/text_metrics/units.h"

#include <random>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

TEST(UnitsTest, SplitsOnAnyWhiteSpace) {
  EXPECT_THAT(SplitOnWhiteSpace(" a\t\nb\xC2\xA0"
                                "c\xE3\x80\x80"
                                "d"),
              ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(SplitOnWhiteSpace(" \n"), IsEmpty());
}

TEST(UnitsTest, LowercasesBeyondAscii) {
  EXPECT_EQ(Lowercase("ÀÉ ΩДZ9"), "àé ωдz9");
}

TEST(UnitsTest, CutsCharactersAndNgrams) {
  const UnitSequence units = UnitSequence::Characters("é a\nb");
  ASSERT_EQ(units.size(), 3u);
  EXPECT_EQ(units.unit(0), "é");
  EXPECT_EQ(units.Ngram(0, 3), "éab");
  EXPECT_EQ(units.NgramCount(3), 1u);
  EXPECT_EQ(units.NgramCount(4), 0u);
}

TEST(UnitsTest, CountsNgramsOfWords) {
  const UnitSequence units = UnitSequence::Words("a b  a\tb a");
  EXPECT_THAT(CountNgrams(units, 2),
              UnorderedElementsAre(Pair("a b", 2), Pair("b a", 2)));
  const UnitSequence other = UnitSequence::Words("a b c");
  EXPECT_EQ(CountMatches(CountNgrams(units, 1), CountNgrams(other, 1)), 2u);
}

TEST(UnitsTest, AnyBytesHaveUnits) {
  std::mt19937 engine(3);
  for (int round = 0; round < 2000; ++round) {
    std::string text(engine() % 40, '\0');
    for (char& c : text) c = static_cast<char>(engine());
    const UnitSequence characters = UnitSequence::Characters(text);
    EXPECT_LE(characters.size(), text.size());
    const UnitSequence words = UnitSequence::Words(text);
    for (size_t i = 0; i < words.size(); ++i) {
      EXPECT_FALSE(words.unit(i).empty());
    }
  }
}

}  // namespace
}  // namespace quantd
