#include "evaluators/text_metrics/answer_extraction.h"

#include <optional>
#include <random>
#include <regex>
#include <string>

#include "base/utf8.h"
#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;
using ::testing::Optional;

TEST(AnswerExtractionTest, NormalizationsTakeAwayWhatTheySay) {
  EXPECT_EQ(NormalizeAnswer("  The É.U.\t an x ", {}), "  The É.U.\t an x ");
  EXPECT_EQ(
      NormalizeAnswer("The ÉTÉ, a  Theatre!", AnswerNormalization::Squad()),
      "été theatre");
  EXPECT_EQ(NormalizeAnswer("a1b22", {.drop_digits = true}), "ab");
  EXPECT_EQ(NormalizeAnswer("An ant", {.drop_articles = true}), "  ant");
  EXPECT_EQ(NormalizeAnswer("\xFF", {}), "\xEF\xBF\xBD");
}

TEST(AnswerExtractionTest, ExactMatchAgainstAnyReference) {
  EXPECT_TRUE(IsExactMatch("Paris", {"London", "Paris"}, {}));
  EXPECT_FALSE(IsExactMatch("paris", {"London", "Paris"}, {}));
  EXPECT_TRUE(
      IsExactMatch("the paris.", {"Paris"}, AnswerNormalization::Squad()));
  EXPECT_FALSE(IsExactMatch("", {}, {}));
}

TEST(AnswerExtractionTest, StrictNumberFollowsItsMark) {
  EXPECT_THAT(ExtractStrictNumber("2+2\n#### 4\n#### 5"),
              Optional<std::string>("4"));
  EXPECT_THAT(ExtractStrictNumber("#### $5 #### -1,234.50."),
              Optional<std::string>("-1,234.50."));
  EXPECT_EQ(ExtractStrictNumber("####4"), std::nullopt);
  EXPECT_EQ(ExtractStrictNumber("the answer is 4"), std::nullopt);
}

TEST(AnswerExtractionTest, FlexibleNumberIsTheLast) {
  EXPECT_THAT(ExtractFlexibleNumber("from 3 to $1,200."),
              Optional<std::string>("$1,200."));
  EXPECT_THAT(ExtractFlexibleNumber("x = -5"), Optional<std::string>("-5"));
  EXPECT_THAT(ExtractFlexibleNumber("7, so."), Optional<std::string>("7,"));
  EXPECT_EQ(ExtractFlexibleNumber("none."), std::nullopt);
  // Two points are what the pattern in use takes for a number.
  EXPECT_THAT(ExtractFlexibleNumber("4 ..."), Optional<std::string>("..."));
}

TEST(AnswerExtractionTest, NumbersLoseWhatDoesNotCount) {
  EXPECT_EQ(NormalizeNumber("$1,234."), "1234");
  EXPECT_EQ(NormalizeNumber("18.00"), "18.00");
  EXPECT_EQ(NormalizeNumber(""), "");
}

TEST(AnswerExtractionTest, NumbersAreThoseOfTheirPatterns) {
  const std::regex strict("#### (-?[0-9.,]+)");
  const std::regex flexible("(-?[$0-9.,]{2,})|(-?[0-9]+)");
  std::mt19937 engine(4);
  const std::string alphabet = "#### -$.,19a ";
  for (int round = 0; round < 20000; ++round) {
    std::string text(engine() % 14, ' ');
    for (char& c : text) c = alphabet[engine() % alphabet.size()];
    if (round % 2 == 0) text = "#### " + text;
    std::smatch match;
    std::optional<std::string> first;
    if (std::regex_search(text, match, strict)) first = match[1].str();
    EXPECT_EQ(ExtractStrictNumber(text), first) << text;
    std::optional<std::string> last;
    for (std::sregex_iterator it(text.begin(), text.end(), flexible), end;
         it != end; ++it) {
      last = it->str();
    }
    EXPECT_EQ(ExtractFlexibleNumber(text), last) << text;
  }
}

TEST(AnswerExtractionTest, FiltersChooseMatchAndGroup) {
  ASSERT_OK_AND_ASSIGN(const RegexFilter first,
                       RegexFilter::Create(R"(answer is (\(\w\))|(\w+)!)", 0));
  EXPECT_THAT(first.Apply("The answer is (B). Yes!"),
              Optional<std::string>("(B)"));
  EXPECT_THAT(first.Apply("Oh! answer is (B)"), Optional<std::string>("Oh"));
  EXPECT_EQ(first.Apply("no"), std::nullopt);
  ASSERT_OK_AND_ASSIGN(const RegexFilter last,
                       RegexFilter::Create("[a-z ]+", -1));
  EXPECT_THAT(last.Apply("ab1 cd "), Optional<std::string>("cd"));
  ASSERT_OK_AND_ASSIGN(const RegexFilter maybe, RegexFilter::Create("x*", -1));
  // Of "x", and the empty ones behind it and at the end.
  EXPECT_THAT(maybe.Apply("xé"), Optional<std::string>(""));
  ASSERT_OK_AND_ASSIGN(const RegexFilter third, RegexFilter::Create("x*", 3));
  EXPECT_EQ(third.Apply("xé"), std::nullopt);
  ASSERT_OK_AND_ASSIGN(const RegexFilter before_last,
                       RegexFilter::Create("[a-z]", -2));
  EXPECT_THAT(before_last.Apply("a1b"), Optional<std::string>("a"));
  EXPECT_EQ(before_last.Apply("b"), std::nullopt);
}

TEST(AnswerExtractionTest, BadPatternsAreQuoted) {
  EXPECT_THAT(RegexFilter::Create("(a", 0),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("pattern \"(a\": missing )")));
  EXPECT_THAT(
      RegexFilter::Create("(?<=a)b", 0),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("pattern")));
}

TEST(AnswerExtractionTest, AnyBytesPassAnyFilter) {
  std::mt19937 engine(2);
  for (int round = 0; round < 3000; ++round) {
    std::string pattern(engine() % 8, ' ');
    for (char& c : pattern) c = "ab.*+?()[]|\\$^{1,}\xC3"[engine() % 19];
    std::string text(engine() % 30, ' ');
    for (char& c : text) {
      c = static_cast<char>(engine() % 2 ? "ab.1"[engine() % 4] : engine());
    }
    const auto filter = RegexFilter::Create(pattern, round % 3 - 1);
    if (filter.ok()) {
      EXPECT_TRUE(IsValidUtf8(filter->Apply(text).value_or("")));
    }
    ExtractStrictNumber(text);
    ExtractFlexibleNumber(text);
    NormalizeAnswer(text, AnswerNormalization::Squad());
  }
}

}  // namespace
}  // namespace quantd
