#include "evaluators/text_metrics/chrf.h"

#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

ChrfStatistics Count(const std::string& hypothesis,
                     const std::vector<std::string>& references,
                     const ChrfOptions& options = {}) {
  const auto statistics = CountChrf(hypothesis, references, options);
  EXPECT_TRUE(statistics.ok()) << statistics.status();
  return statistics.value_or(ChrfStatistics());
}

double Score(const std::string& hypothesis,
             const std::vector<std::string>& references,
             const ChrfOptions& options = {}) {
  return ChrfScore(Count(hypothesis, references, options), options.beta);
}

TEST(ChrfTest, CharactersByHand) {
  // 2 of 3 characters, 1 of 2 pairs, 0 of 1 triples, no longer ones.
  EXPECT_NEAR(Score("abc", {"abd"}), 100 * (2.0 / 3 + 1.0 / 2) / 3, 1e-10);
  // White space does not count.
  EXPECT_NEAR(Score("a bc", {"abd"}), Score("abc", {"abd"}), 1e-12);
}

TEST(ChrfTest, RecallWeighsFourfold) {
  // P = 1, R = 1/2: 5 * 0.5 / (4 + 0.5).
  EXPECT_NEAR(Score("ab", {"abcd"}, {.char_order = 1}), 100 * 2.5 / 4.5, 1e-10);
  EXPECT_NEAR(Score("abcd", {"ab"}, {.char_order = 1}), 100 * 2.5 / 3, 1e-10);
  EXPECT_NEAR(Score("ab", {"abcd"}, {.char_order = 1, .beta = 1}),
              100 * 2 * 0.5 / 1.5, 1e-10);
}

TEST(ChrfTest, WordsCountWithTheirMarksApart) {
  const ChrfOptions plus{.word_order = 2};
  // 7/6 of the characters' orders, and no word of one: over four orders.
  EXPECT_NEAR(Score("abc", {"abd"}, plus), 100 * 7.0 / 6 / 4, 1e-10);
  const ChrfStatistics statistics = Count("(a b.) c!", {"(a b.) c."}, plus);
  // "(", "a", "b.", ")", "c", "!" against "(", "a", "b.", ")", "c", ".".
  EXPECT_EQ(statistics.orders[6].hypothesis, 6u);
  EXPECT_EQ(statistics.orders[6].matches, 5u);
  EXPECT_EQ(statistics.orders[7].matches, 4u);
}

TEST(ChrfTest, IdentityIsAHundredAndNothingIsNothing) {
  for (const ChrfOptions& options :
       {ChrfOptions{}, ChrfOptions{.word_order = 2}}) {
    EXPECT_NEAR(Score("Ça va, 世界?", {"Ça va, 世界?"}, options), 100, 1e-9);
    EXPECT_EQ(Score("", {"abc"}, options), 0);
    EXPECT_EQ(Score("abc", {""}, options), 0);
    EXPECT_EQ(Score("", {""}, options), 0);
    EXPECT_EQ(Score("abc", {"xyz"}, options), 0);
  }
  EXPECT_NEAR(Score("ÇA", {"ça"}, {.lowercase = true}), 100, 1e-9);
}

TEST(ChrfTest, BestReferenceCounts) {
  EXPECT_NEAR(Score("abc", {"xyz", "abc", "abd"}), 100, 1e-9);
}

TEST(ChrfTest, CountsAddUp) {
  ChrfStatistics sum;
  sum += Count("ab", {"ab"}, {.char_order = 1});
  sum += Count("xy", {"zz"}, {.char_order = 1});
  EXPECT_NEAR(ChrfScore(sum, 2), 50, 1e-10);
}

TEST(ChrfTest, BadOptionsAreNamed) {
  EXPECT_THAT(
      CountChrf("a", {"a"}, {.char_order = 0}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("char_order: 0")));
  EXPECT_THAT(CountChrf("a", {"a"}, {.word_order = 99}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("word_order: 99")));
  EXPECT_THAT(
      CountChrf("a", {"a"}, {.beta = 0}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("beta: 0")));
  EXPECT_THAT(CountChrf("a", {}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("without a reference")));
}

TEST(ChrfTest, SignatureSaysTheSettings) {
  EXPECT_EQ(ChrfSignature({}, 1),
            "chrF2|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no");
  EXPECT_EQ(ChrfSignature({.word_order = 2, .lowercase = true}, 2),
            "chrF2++|nrefs:2|case:lc|eff:yes|nc:6|nw:2|space:no");
}

TEST(ChrfTest, AnyBytesScoreWithinBounds) {
  std::mt19937 engine(5);
  for (int round = 0; round < 1000; ++round) {
    std::string texts[2];
    for (std::string& text : texts) {
      text.resize(engine() % 50);
      for (char& c : text) {
        c = static_cast<char>(engine() % 3 ? "ab .!"[engine() % 5] : engine());
      }
    }
    const double score = Score(texts[0], {texts[1]}, {.word_order = 2});
    EXPECT_GE(score, 0);
    EXPECT_LE(score, 100 + 1e-9);
  }
}

}  // namespace
}  // namespace quantd
