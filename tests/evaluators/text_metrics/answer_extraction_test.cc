#include "evaluators/text_metrics/answer_extraction.h"

#include <optional>
#include <random>
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
    NormalizeAnswer(text, AnswerNormalization::Squad());
  }
}

}  // namespace
}  // namespace quantd
