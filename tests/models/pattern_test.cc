#include "models/tokenizers/pattern.h"

#include <string>
#include <vector>

#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// All matches, in order.
std::vector<std::string> Matches(const std::string& regex,
                                 const std::string& text) {
  const auto pattern = Pattern::Compile(regex);
  EXPECT_THAT(pattern, IsOk());
  std::vector<std::string> matches;
  if (!pattern.ok()) return matches;
  MatchScratch scratch;
  size_t from = 0;
  while (true) {
    const auto match = (*pattern)->Find(text, from, scratch);
    EXPECT_THAT(match, IsOk());
    if (!match.ok() || !match->has_value()) return matches;
    matches.push_back(
        text.substr((*match)->begin, (*match)->end - (*match)->begin));
    EXPECT_GT((*match)->end, from);
    from = (*match)->end;
  }
}

TEST(PatternTest, ClassesAreUnicode) {
  EXPECT_THAT(Matches("\\s",
                      "a\xC2\xA0"
                      "b\xE3\x80\x80"
                      "c\xC2\x85"),
              ElementsAre("\xC2\xA0", "\xE3\x80\x80", "\xC2\x85"));
  EXPECT_THAT(Matches("\\p{L}+", "na\xC3\xAFve 12 \xE6\x97\xA5"),
              ElementsAre("na\xC3\xAFve", "\xE6\x97\xA5"));
  EXPECT_THAT(Matches("\\d", "1\xD9\xA3"), ElementsAre("1", "\xD9\xA3"));
  EXPECT_THAT(Matches("(?i:'S)", "'s '\xC5\xBF"),
              ElementsAre("'s", "'\xC5\xBF"));
}

TEST(PatternTest, WhiteSpaceIsUnicodesAndNothingElse) {
  // U+180E was white space until Unicode 6.3; PCRE2's \s still takes it.
  EXPECT_THAT(Matches("\\s", "\xE1\xA0\x8E"), ElementsAre());
  EXPECT_THAT(Matches("[^\\s]", "\xE1\xA0\x8E"), ElementsAre("\xE1\xA0\x8E"));
  EXPECT_THAT(Matches("\\S", "\xE1\xA0\x8E "), ElementsAre("\xE1\xA0\x8E"));
}

TEST(PatternTest, OnigurumaMeaningsAreKept) {
  // \h is a hexadecimal digit, also inside a class.
  EXPECT_THAT(Matches("\\h+", "xyz c0ffee"), ElementsAre("c0ffee"));
  EXPECT_THAT(Matches("[\\hx]+", "z0xff"), ElementsAre("0xff"));
  EXPECT_THAT(Matches("\\H+", "abxyz"), ElementsAre("xyz"));
  // \w takes combining marks, and not every number.
  EXPECT_THAT(Matches("\\w+", "e\xCC\x81\xE2\x85\x93"),
              ElementsAre("e\xCC\x81"));
  EXPECT_THAT(Matches("\\w+", "a\xC2\xBD"), ElementsAre("a\xC2\xBD"));
  EXPECT_THAT(Matches("[\\w-]+", "a-b c"), ElementsAre("a-b", "c"));
  EXPECT_THAT(Matches("\\W", "a b"), ElementsAre(" "));
  // ^ and $ know lines; (?m) lets the dot cross them.
  EXPECT_THAT(Matches("^.", "ab\ncd"), ElementsAre("a", "c"));
  EXPECT_THAT(Matches("(?m:a.b)", "a\nb"), ElementsAre("a\nb"));
  EXPECT_THAT(Matches("(?m-i)a.b", "a\nb"), ElementsAre("a\nb"));
  EXPECT_THAT(Matches("a.b", "a\nb"), ElementsAre());
  // A script, not its extensions: U+3001 belongs to several scripts.
  EXPECT_THAT(Matches("\\p{Han}", "\xE6\x97\xA5\xE3\x80\x81"),
              ElementsAre("\xE6\x97\xA5"));
  EXPECT_THAT(Matches("\\P{Han}", "\xE6\x97\xA5\xE3\x80\x81"),
              ElementsAre("\xE3\x80\x81"));
  EXPECT_THAT(Matches("\\p{^Lu}", "Ab"), ElementsAre("b"));
  EXPECT_THAT(Matches("\\u00e9", "e\xC3\xA9"), ElementsAre("\xC3\xA9"));
  EXPECT_THAT(Matches("[]a]+", "a]b"), ElementsAre("a]"));
  EXPECT_THAT(Matches("[[:digit:]]+", "a12"), ElementsAre("12"));
  EXPECT_THAT(Matches("\\p{N}{1,3}", "12345"), ElementsAre("123", "45"));
}

TEST(PatternTest, ClassesMayHoldClasses) {
  EXPECT_THAT(Matches("[a[bc]x]+", "abcdx"), ElementsAre("abc", "x"));
  EXPECT_THAT(Matches("[a[^b-z ]]+", "abA1 a"), ElementsAre("a", "A1", "a"));
  EXPECT_THAT(Matches("[^a[bc]]+", "abcd\ne"), ElementsAre("d\ne"));
  EXPECT_THAT(Matches("[\\W1]+", "a 1b"), ElementsAre(" 1"));
  EXPECT_THAT(Matches("[^\\H]+", "xab"), ElementsAre("ab"));
  EXPECT_THAT(Matches("[[a-c]&&[b-d]]+", "abcd"), ElementsAre("bc"));
  EXPECT_THAT(Matches("[a-d&&b-z&&[^c]]+", "abcd"), ElementsAre("b", "d"));
  EXPECT_THAT(Matches("[^a-d&&b-z]+", "abe"), ElementsAre("a", "e"));
  EXPECT_THAT(Matches("[\\p{L}&&[^\\p{Han}]]+",
                      "ab\xE4\xB8\xAD"
                      "c"),
              ElementsAre("ab", "c"));
  EXPECT_THAT(Matches("[[:alpha:]_]+", "a_\xC2\xB2"), ElementsAre("a_"));
  EXPECT_THAT(Matches("[[:punct:]]", "a+\xE2\x82\xAC"),
              ElementsAre("+", "\xE2\x82\xAC"));
  EXPECT_THAT(Matches("[[:^space:]]+", "a b"), ElementsAre("a", "b"));
  EXPECT_THAT(Matches("(?i:[[a]b]{2})", "AB"), ElementsAre("AB"));
}

TEST(PatternTest, APlusRepeatsAnInterval) {
  EXPECT_THAT(Matches("\\p{N}{1,3}+", "12345"), ElementsAre("12345"));
  EXPECT_THAT(Matches("(?:ab|c){2}+", "abcabab"), ElementsAre("abcabab"));
  EXPECT_THAT(Matches("x[ab]{2}+", "xababa"), ElementsAre("xabab"));
  EXPECT_THAT(Matches("\xC3\xA9{2}+", "\xC3\xA9\xC3\xA9\xC3\xA9"),
              ElementsAre("\xC3\xA9\xC3\xA9"));
  EXPECT_THAT(Matches("xa{,2}", "xaaa"), ElementsAre("xaa"));
  EXPECT_THAT(Matches("a{2,}", "aaa a"), ElementsAre("aaa"));
  EXPECT_THAT(Matches("a{,}|b{x", "a{,} b{x"), ElementsAre("a{,}", "b{x"));
  // Possessive quantifiers are the same in both.
  EXPECT_THAT(Matches("a++b", "aab"), ElementsAre("aab"));
}

TEST(PatternTest, OtherMeaningsAreRefused) {
  for (const std::string regex :
       {"\\Qa\\E", "\\u12", "[[:alpha", "[[:graph:]]", "[&&a]", "[a&&]",
        "[a&&^b]", "[[[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]]]"}) {
    EXPECT_THAT(Pattern::Compile(regex),
                StatusIs(absl::StatusCode::kUnimplemented,
                         HasSubstr("is not supported by this build")))
        << regex;
  }
}

TEST(PatternTest, BrokenPatternsAreRefusedWithTheOffset) {
  EXPECT_THAT(
      Pattern::Compile("ab)"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at offset 2")));
  for (const std::string regex :
       {"(", "[", "*", "\\", "a{2,1}", "\\p{Nonsense}", "(?<n>a)(?<n>b)", "\\p",
        "(?"}) {
    EXPECT_THAT(Pattern::Compile(regex),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("does not compile")))
        << regex;
  }
}

TEST(PatternTest, LiteralsMatchThemselves) {
  ASSERT_OK_AND_ASSIGN(const auto pattern, Pattern::CompileLiteral("a.b\\"));
  MatchScratch scratch;
  ASSERT_OK_AND_ASSIGN(const auto match,
                       pattern->Find("axb\\a.b\\", 0, scratch));
  ASSERT_TRUE(match.has_value());
  EXPECT_EQ(match->begin, 4u);
  EXPECT_EQ(match->end, 8u);
}

TEST(PatternTest, RunawayBacktrackingIsStopped) {
  ASSERT_OK_AND_ASSIGN(const auto pattern, Pattern::Compile("^(a|a)*b"));
  MatchScratch scratch;
  // The last "b" keeps PCRE2 from seeing at once that nothing can match.
  EXPECT_THAT(
      pattern->Find(std::string(60, 'a') + "cb", 0, scratch),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("match limit")));
}

TEST(PatternTest, LongMatchesGetTheStackTheyNeed) {
  ASSERT_OK_AND_ASSIGN(const auto pattern, Pattern::Compile("(?:a|b(?=c?))+"));
  MatchScratch scratch;
  const std::string text(50000, 'a');
  ASSERT_OK_AND_ASSIGN(const auto match, pattern->Find(text, 0, scratch));
  ASSERT_TRUE(match.has_value());
  EXPECT_EQ(match->end, text.size());
}

TEST(PatternTest, MegabytesOfBlanksAreFine) {
  const std::string text(1 << 20, ' ');
  EXPECT_THAT(Matches("\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", text),
              ElementsAre(text));
}

}  // namespace
}  // namespace quantd::test
