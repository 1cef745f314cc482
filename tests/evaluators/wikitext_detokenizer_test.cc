#include "evaluators/wikitext_detokenizer.h"

#include "base/file.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "evaluators/wikitext_documents.h"
#include "gmock/gmock.h"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

struct Example {
  const char* raw;
  const char* expected;
};

void ExpectAll(absl::Span<const Example> examples) {
  for (const Example& example : examples) {
    EXPECT_EQ(DetokenizeWikitext(example.raw), example.expected) << example.raw;
  }
}

TEST(WikitextDetokenizerTest, TextWithoutTracesStays) {
  ExpectAll({{"", ""},
             {"a", "a"},
             {"Plain text, with (brackets) and don't.",
              "Plain text, with (brackets) and don't."},
             {"a: b", "a: b"},
             {" . ", ". "},
             {"end .", "end ."}});  // no blank behind it
}

TEST(WikitextDetokenizerTest, PossessivesOfPluralsAreJoined) {
  ExpectAll({{"the dogs ' food", "the dogs' food"}, {"s 's", "s's"}});
}

// The pattern of the rule for digits matches between slashes only.
TEST(WikitextDetokenizerTest, DigitsBehindApostrophesStay) {
  ExpectAll({{"in ' 05 it", "in ' 05 it"}, {"/' 5/", "/' 5/"}});
}

TEST(WikitextDetokenizerTest, SeparatorsInsideNumbersAndWordsAreJoined) {
  ExpectAll({{"well @-@ known", "well-known"},
             {"1 @,@ 234 @,@ 567", "1,234,567"},
             {"3 @.@ 5", "3.5"},
             {"@-@ 5", "@-@ 5"}});
}

TEST(WikitextDetokenizerTest, PunctuationLosesTheBlankBeforeIt) {
  ExpectAll({{"a : b", "a: b"},
             {"a ; b", "a; b"},
             {"a . b", "a. b"},
             {"a ! b", "a! b"},
             {"a ? b", "a? b"},
             {"a , b", "a, b"},
             {"a . \" b", "a. \" b"},
             // Matches do not overlap: the second full stop has lost its blank
             // to the first.
             {"a . . b", "a. . b"},
             // Colons come before commas.
             {"a , : b", "a ,: b"}});
}

TEST(WikitextDetokenizerTest, PairsAreTrimmedInside) {
  ExpectAll({{"a ( b ) c", "a (b) c"},
             {"a [ b ] c", "a [b] c"},
             {"a { b } c", "a {b} c"},
             {"a \" b \" c \" d \"", "a \"b\" c \"d\""},
             {"a ' b ' c", "a 'b' c"},
             {"(  )", "()"},
             {"( \n\t b\n )", "(b)"},
             // A pair reaches to the next closing sign, whatever opens between.
             {"( a ( b ) c )", "(a ( b) c )"},
             {"( a", "( a"},
             {"a ) ( b", "a ) ( b"},
             {"\" a \" \" b", "\"a\" \" b"}});
}

// Quotes pair with the next quote, so that an apostrophe opens a pair.
TEST(WikitextDetokenizerTest, ApostrophesPairAsQuotes) {
  ExpectAll({{"don't say ' no '", "don't say' no '"}});
}

TEST(WikitextDetokenizerTest, WhiteSpaceIsUnicodes) {
  ExpectAll({{"(\u00a0a\u2003)", "(a)"},
             {"(\x1c"
              "a\x1f)",
              "(a)"},
             {"(\u200b"
              "a)",
              "(\u200b"
              "a)"},
             {"( \u00e9\u4e00 )", "(\u00e9\u4e00)"}});
}

TEST(WikitextDetokenizerTest, HeadingSignsAreJoined) {
  ExpectAll({{" = T = \n", " = T =\n"},
             {"= = S = =", "== S =="},
             {"= = = S = = =", "=== S ==="},
             {"= = = = S = = = =", "==== S ===="}});
}

TEST(WikitextDetokenizerTest, DegreesLoseTheirBlanks) {
  ExpectAll({{"5 \u00b0 C", "5\u00b0C"}, {"5 \u00b0", "5 \u00b0"}});
}

TEST(WikitextDetokenizerTest, NewlinesLoseTheirBlanks) {
  ExpectAll(
      {{"a \n b", "a\nb"}, {" \n \n a", "\n\na"}, {"a  \n  b", "a \n b"}});
}

TEST(WikitextDetokenizerTest, AnUnknownNumberIsOne) {
  ExpectAll({{"a N b", "a 1 b"}, {"N b", "N b"}});
}

TEST(WikitextDetokenizerTest, GenitivesAreJoined) {
  ExpectAll({{"the cat 's ear", "the cat's ear"}});
}

// Rule by rule in the order of the header: the comma before the brackets, the
// blanks inside quotes before those before a newline.
TEST(WikitextDetokenizerTest, RulesApplyInTheirOrder) {
  ExpectAll({{" = A = \n \n It 's ( 1 @,@ 000 , or N ) \" so \" . \n",
              " = A =\n\nIt's (1,000, or N) \"so\".\n"},
             {"( a , b )", "(a, b)"},
             {"s ' s", "s' s"}});
}

TEST(WikitextDetokenizerTest, ManyOpeningSignsAreNotSlow) {
  const std::string open(1 << 20, '(');
  EXPECT_EQ(DetokenizeWikitext(open), open);
}

// The digest is of the documents as Python's own regular expressions detokenize
// them by the rules of the harness.
TEST(WikitextDetokenizerTest, WikiTextAsTheHarnessHasIt) {
  const std::string path = SharedPath("data/wikitext2_raw/wiki.test.raw");
  const auto text = ReadFile(path);
  if (!text.ok()) GTEST_SKIP() << "no WikiText-2 at " << path;
  std::string all;
  for (const absl::string_view document : WikitextDocuments(*text)) {
    if (!all.empty()) all += '\n';
    all += DetokenizeWikitext(document);
  }
  EXPECT_TRUE(IsValidUtf8(all));
  EXPECT_EQ(Sha256Hex(all),
            "3fa07a8bbac5f86805465b0947086d095a116516845dc14a02f56b87b1da4774");
}

}  // namespace
}  // namespace quantd
