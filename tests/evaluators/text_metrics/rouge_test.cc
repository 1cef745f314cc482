#include "evaluators/text_metrics/rouge.h"

#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

RougeScores Score(const std::string& hypothesis,
                  const std::vector<std::string>& references,
                  const RougeOptions& options = {}) {
  const auto scores = ScoreRouge(hypothesis, references, options);
  EXPECT_TRUE(scores.ok()) << scores.status();
  return scores.value_or(RougeScores());
}

TEST(RougeTest, WordOrderExampleOfThePaper) {
  // Lin 2004, section 3.1: both share one of three pairs with the reference,
  // but 3 and 2 of 4 words in order.
  const std::string reference = "police killed the gunman";
  const RougeScores first = Score("police kill the gunman", {reference});
  const RougeScores second = Score("the gunman kill police", {reference});
  EXPECT_DOUBLE_EQ(first.rouge2.f1, 1.0 / 3);
  EXPECT_DOUBLE_EQ(second.rouge2.f1, 1.0 / 3);
  EXPECT_DOUBLE_EQ(first.rouge_l.f1, 3.0 / 4);
  EXPECT_DOUBLE_EQ(second.rouge_l.f1, 2.0 / 4);
  // With stems all four agree.
  EXPECT_DOUBLE_EQ(
      Score("police kill the gunman", {reference}, {.stem = true}).rouge1.f1,
      1);
}

TEST(RougeTest, UnionOfSubsequencesExampleOfThePaper) {
  // Section 3.2: w1 w2 and w1 w3 w5 are together 4 of 5 words.
  const RougeScores scores =
      Score("w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", {"w1 w2 w3 w4 w5"});
  EXPECT_DOUBLE_EQ(scores.rouge_lsum.recall, 4.0 / 5);
  EXPECT_DOUBLE_EQ(scores.rouge_lsum.precision, 4.0 / 10);
  // Line ends aside, w1 w2 w3 w5.
  EXPECT_DOUBLE_EQ(scores.rouge_l.recall, 4.0 / 5);
}

TEST(RougeTest, UnionCountsNoWordTwice) {
  const RougeScores scores = Score("a\na", {"a b\na c"});
  EXPECT_DOUBLE_EQ(scores.rouge_lsum.precision, 1);
  EXPECT_DOUBLE_EQ(scores.rouge_lsum.recall, 2.0 / 4);
  EXPECT_DOUBLE_EQ(Score("a", {"a b\na c"}).rouge_lsum.recall, 1.0 / 4);
}

TEST(RougeTest, ByHand) {
  // Hypothesis 6 words, reference 5; in common the, cat, the (twice in each).
  const RougeScores scores =
      Score("The cat sat on the mat!", {"the cat, the dog, ran"});
  EXPECT_DOUBLE_EQ(scores.rouge1.precision, 3.0 / 6);
  EXPECT_DOUBLE_EQ(scores.rouge1.recall, 3.0 / 5);
  EXPECT_DOUBLE_EQ(scores.rouge1.f1, 2 * 0.5 * 0.6 / 1.1);
  EXPECT_DOUBLE_EQ(scores.rouge2.precision, 1.0 / 5);
  EXPECT_DOUBLE_EQ(scores.rouge2.recall, 1.0 / 4);
  EXPECT_DOUBLE_EQ(scores.rouge_l.recall, 3.0 / 5);
}

TEST(RougeTest, IdentityIsOneAndNothingIsNothing) {
  const RougeScores same = Score("One two.\nThree 4!", {"one TWO\nthree 4"});
  for (const RougeScore* score :
       {&same.rouge1, &same.rouge2, &same.rouge_l, &same.rouge_lsum}) {
    EXPECT_DOUBLE_EQ(score->f1, 1);
  }
  // Letters that are not a-z are no words, the Kelvin sign is a k.
  EXPECT_EQ(Score("世界", {"世界"}).rouge1.f1, 0);
  EXPECT_EQ(Score("\xE2\x84\xAA", {"k"}).rouge1.f1, 1);
  EXPECT_EQ(Score("", {"a"}).rouge_lsum.f1, 0);
  EXPECT_EQ(Score("a", {""}).rouge1.f1, 0);
  EXPECT_EQ(Score("one", {"one"}).rouge2.f1, 0);
}

TEST(RougeTest, EachScoreTakesItsBestReference) {
  const RougeScores scores = Score("a b c", {"c b a", "a b x y"});
  EXPECT_DOUBLE_EQ(scores.rouge1.f1, 1);
  EXPECT_DOUBLE_EQ(scores.rouge2.recall, 1.0 / 3);
}

TEST(RougeTest, PrecisionAndRecallTurnAround) {
  const RougeScores one = Score("a b c d", {"b d e"});
  const RougeScores other = Score("b d e", {"a b c d"});
  EXPECT_DOUBLE_EQ(one.rouge_l.precision, other.rouge_l.recall);
  EXPECT_DOUBLE_EQ(one.rouge1.f1, other.rouge1.f1);
}

TEST(RougeTest, RefusesTooMuchAndTooLittle) {
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "a ";
  EXPECT_THAT(
      ScoreRouge(text, {text}, {}),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("20000 words")));
  EXPECT_THAT(ScoreRouge("a", {}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("without a reference")));
}

TEST(RougeTest, SignatureSaysTheSettings) {
  EXPECT_EQ(RougeSignature({.stem = true}, 2),
            "ROUGE|nrefs:2|case:lc|tok:a-z0-9|stem:porter");
}

TEST(RougeTest, AnyBytesScoreWithinBounds) {
  std::mt19937 engine(8);
  for (int round = 0; round < 2000; ++round) {
    std::string texts[2];
    for (std::string& text : texts) {
      text.resize(engine() % 50);
      for (char& c : text) {
        c = static_cast<char>(engine() % 4 ? "ab \nsing"[engine() % 8]
                                           : engine());
      }
    }
    const RougeScores scores =
        Score(texts[0], {texts[1]}, {.stem = round % 2 == 0});
    for (const RougeScore* score : {&scores.rouge1, &scores.rouge2,
                                    &scores.rouge_l, &scores.rouge_lsum}) {
      EXPECT_GE(score->f1, 0);
      EXPECT_LE(score->precision, 1);
      EXPECT_LE(score->recall, 1);
    }
    EXPECT_LE(scores.rouge_l.recall, scores.rouge1.recall);
  }
}

}  // namespace
}  // namespace quantd
