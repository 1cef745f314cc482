#include "evaluators/text_metrics/bleu.h"

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "evaluators/statistics/bootstrap.h"
#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

BleuStatistics Count(const std::string& hypothesis,
                     const std::vector<std::string>& references,
                     const BleuOptions& options = {}) {
  const auto statistics = CountBleu(hypothesis, references, options);
  EXPECT_TRUE(statistics.ok()) << statistics.status();
  return statistics.value_or(BleuStatistics());
}

double Corpus(const BleuStatistics& statistics) {
  return CorpusBleu(statistics, BleuSmoothing::kExponential).score;
}

TEST(BleuTest, TokenizesAsMtevalV13a) {
  EXPECT_EQ(Tokenize13a("Hello, world! It's 3.14, 1,000-2 (a.b) &quot;x&quot;"),
            "Hello , world ! It's 3.14 , 1,000 - 2 ( a . b ) \" x \"");
  EXPECT_EQ(Tokenize13a("U.S. .5 end."), "U . S . . 5 end .");
  EXPECT_EQ(Tokenize13a("well-known hy-\nphen line\nbreak <skipped>"),
            "well-known hyphen line break");
  EXPECT_EQ(Tokenize13a("&amp;lt; R&D $5 50% a/b"), "< R & D $ 5 50 % a / b");
  EXPECT_EQ(Tokenize13a("Préface… «été»."), "Préface… «été» .");
  EXPECT_EQ(Tokenize13a(" \n "), "");
}

TEST(BleuTest, HyphenAtTheEndStays) {
  EXPECT_EQ(Count("a b-\n", {"a b-"}).matches[0], 2u);
}

TEST(BleuTest, ClippedUnigramsOfThePaper) {
  // Papineni et al., example 2: 2 of the 7 may match.
  const BleuStatistics statistics =
      Count("the the the the the the the",
            {"The cat is on the mat.", "There is a cat on the mat."},
            {.lowercase = true});
  EXPECT_EQ(statistics.ngrams[0], 7u);
  EXPECT_EQ(statistics.matches[0], 2u);
}

TEST(BleuTest, CorpusByHand) {
  const BleuStatistics statistics =
      Count("the cat is on the mat", {"there is a cat on the mat"});
  EXPECT_THAT(statistics.ngrams, ElementsAre(6, 5, 4, 3));
  // the, cat, is, on, mat; "on the", "the mat"; "on the mat"; none.
  EXPECT_THAT(statistics.matches, ElementsAre(5, 2, 1, 0));
  const double brevity = std::exp(1 - 7.0 / 6);
  const BleuScore bleu = CorpusBleu(statistics, BleuSmoothing::kExponential);
  EXPECT_NEAR(bleu.brevity_penalty, brevity, 1e-15);
  EXPECT_NEAR(bleu.precisions[3], 100 * 0.5 / 3, 1e-12);
  EXPECT_NEAR(bleu.score,
              100 * brevity * std::pow(5.0 / 6 * 2 / 5 * 1 / 4 * 0.5 / 3, 0.25),
              1e-10);
  EXPECT_EQ(CorpusBleu(statistics, BleuSmoothing::kNone).score, 0);
}

TEST(BleuTest, SecondOrderWithoutMatchCountsAQuarter) {
  const BleuScore bleu =
      CorpusBleu(Count("a b c d", {"a x b y"}), BleuSmoothing::kExponential);
  EXPECT_THAT(bleu.precisions, ElementsAre(50.0, 50.0 / 3, 25.0 / 2, 12.5 / 1));
}

TEST(BleuTest, IdentityIsAHundred) {
  const std::string text = "This is, indeed, a sentence: 3.5 of 7.";
  EXPECT_NEAR(Corpus(Count(text, {"another one", text})), 100, 1e-9);
  EXPECT_NEAR(Corpus(Count("这 是 一 个 句子", {"这 是 一 个 句子"})), 100,
              1e-9);
}

TEST(BleuTest, ShortSentencesCountTheirOwnOrdersOnly) {
  const BleuStatistics two = Count("good morning", {"good morning"});
  EXPECT_EQ(Corpus(two), 0);
  EXPECT_NEAR(SentenceBleu(two, BleuSmoothing::kExponential).score, 100, 1e-9);
}

TEST(BleuTest, NothingSaidScoresNothing) {
  const BleuStatistics nothing = Count("", {"a b"});
  EXPECT_EQ(nothing.reference_length, 2u);
  EXPECT_EQ(Corpus(nothing), 0);
  EXPECT_EQ(SentenceBleu(nothing, BleuSmoothing::kExponential).score, 0);
  EXPECT_EQ(Corpus(Count("", {""})), 0);
  EXPECT_THAT(CountBleu("a", {}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("without a reference")));
}

TEST(BleuTest, ClosestReferenceLengthCountsAndOfTwoTheShorter) {
  EXPECT_EQ(Count("a b c", {"a", "a b", "a b c d"}).reference_length, 2u);
  EXPECT_EQ(Count("a b c", {"a b c d", "a b"}).reference_length, 2u);
  EXPECT_EQ(Count("a b c", {"a b c d", "a"}).reference_length, 4u);
}

TEST(BleuTest, CountsAddUpAndBootstrap) {
  std::vector<BleuStatistics> items;
  for (int i = 0; i < 40; ++i) {
    items.push_back(
        Count("a b c d e f", {i % 2 ? "a b c d e f" : "a b c x y z"}));
  }
  BleuStatistics sum;
  for (const BleuStatistics& item : items) sum += item;
  EXPECT_EQ(sum.ngrams[0], 240u);
  EXPECT_EQ(sum.matches[0], 180u);
  ASSERT_OK_AND_ASSIGN(const BootstrapEstimate bootstrap,
                       Bootstrap(40,
                                 [&](absl::Span<const uint32_t> drawn) {
                                   BleuStatistics total;
                                   for (uint32_t i : drawn) total += items[i];
                                   return Corpus(total);
                                 },
                                 {}));
  EXPECT_DOUBLE_EQ(bootstrap.estimate, Corpus(sum));
  EXPECT_GT(bootstrap.standard_error, 0);
  EXPECT_LT(bootstrap.percentile.lower, bootstrap.estimate);
}

TEST(BleuTest, SignatureSaysTheSettings) {
  EXPECT_EQ(BleuSignature({}, 1, false),
            "BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp");
  EXPECT_EQ(BleuSignature({.tokenization = BleuTokenization::kNone,
                           .smoothing = BleuSmoothing::kNone,
                           .lowercase = true},
                          3, true),
            "BLEU|nrefs:3|case:lc|eff:yes|tok:none|smooth:none");
}

TEST(BleuTest, AnyBytesScoreWithinBounds) {
  std::mt19937 engine(11);
  const std::string likely = "ab., -&lt;19\n\xC3\xA9";
  for (int round = 0; round < 2000; ++round) {
    std::string texts[2];
    for (std::string& text : texts) {
      text.resize(engine() % 60);
      for (char& c : text) {
        c = engine() % 4 ? likely[engine() % likely.size()]
                         : static_cast<char>(engine());
      }
    }
    const BleuStatistics statistics = Count(texts[0], {texts[1]});
    for (double score :
         {Corpus(statistics),
          SentenceBleu(statistics, BleuSmoothing::kExponential).score}) {
      EXPECT_GE(score, 0);
      EXPECT_LE(score, 100 + 1e-9);
    }
    const BleuStatistics same = Count(texts[0], {texts[0]});
    EXPECT_EQ(same.matches, same.ngrams);
  }
}

}  // namespace
}  // namespace quantd
