#include "evaluators/task_answers.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

AnswerFilter Regex(const std::string& name, const std::string& pattern,
                   int select) {
  AnswerFilterStep step;
  step.function = AnswerFilterStep::Function::kRegex;
  step.regex_pattern = pattern;
  step.group_select = select;
  return {name, {step, {}}};
}

std::vector<std::string> Extract(const std::vector<AnswerFilter>& filters,
                                 const std::string& text) {
  const auto extractor = AnswerExtractor::Create(filters);
  EXPECT_TRUE(extractor.ok()) << extractor.status();
  return extractor.ok() ? extractor->Extract(text) : std::vector<std::string>();
}

TEST(TaskAnswersTest, AnswersAreExtractedByEveryFilter) {
  EXPECT_THAT(Extract({}, "  as it is \n"), ElementsAre("as it is"));
  const std::vector<AnswerFilter> filters = {
      Regex("strict", R"(The answer is (\-?[0-9\.\,]+)\.)", 0),
      Regex("flexible", R"((-?[$0-9.,]{2,})|(-?[0-9]+))", -1),
      Regex("second", "[0-9]+", 1)};
  EXPECT_THAT(Extract(filters, "First 7, then 12. The answer is 1,234."),
              ElementsAre("1,234", "1,234.", "12"));
  EXPECT_THAT(Extract(filters, "It is 42"),
              ElementsAre("[invalid]", "42", "[invalid]"));
  AnswerFilterStep lower;
  lower.function = AnswerFilterStep::Function::kLowercase;
  AnswerFilterStep blank;
  blank.function = AnswerFilterStep::Function::kRemoveWhitespace;
  EXPECT_THAT(Extract({{"words", {blank, lower}}}, " Yes"), ElementsAre("yes"));
  // A pattern that matches nothing at all does not run for ever.
  EXPECT_THAT(Extract({Regex("empty", "x*", -1)}, "abc"), ElementsAre(""));
}

TEST(TaskAnswersTest, GroupsThatAreAllEmptyAreNoAnswer) {
  EXPECT_THAT(Extract({Regex("two", "a(b*)(c*)", 0)}, "a"),
              ElementsAre("[invalid]"));
  EXPECT_THAT(Extract({Regex("one", "a(b*)", 0)}, "a"), ElementsAre(""));
}

TEST(TaskAnswersTest, AnswersAreTextWhateverTheFilterIs) {
  EXPECT_THAT(Extract({Regex("byte", "\\C", 0)}, "\u00e9"),
              ElementsAre("\uFFFD"));
  EXPECT_THAT(Extract({Regex("between", "x*", 1)}, "\u00e9"), ElementsAre(""));
}

TEST(TaskAnswersTest, BadPatternsNameTheFilter) {
  EXPECT_THAT(AnswerExtractor::Create(std::vector{Regex("broken", "(a", 0)}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("filter broken"), HasSubstr("\"(a\""))));
  TaskMetric rules;
  rules.regexes_to_ignore = {"(a"};
  EXPECT_THAT(ExactMatch::Create(rules),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("pattern \"(a\"")));
}

bool Matches(const TaskMetric& rules, const std::string& answer,
             const std::vector<std::string>& references) {
  const auto match = ExactMatch::Create(rules);
  EXPECT_TRUE(match.ok()) << match.status();
  return match.ok() && match->Matches(answer, references);
}

TEST(TaskAnswersTest, ExactMatchFollowsTheTasksRules) {
  TaskMetric rules;
  EXPECT_TRUE(Matches(rules, "18", {"17", "18"}));
  EXPECT_FALSE(Matches(rules, "$18", {"18"}));
  EXPECT_FALSE(Matches(rules, "", {}));
  rules.regexes_to_ignore = {",", "\\$", "(?s).*#### ", "\\.$"};
  EXPECT_TRUE(Matches(rules, "$1,800.", {"so 9 + 9\n#### 1800"}));
  EXPECT_FALSE(Matches(rules, "Paris", {"paris"}));
  rules.ignore_case = true;
  rules.ignore_punctuation = true;
  EXPECT_TRUE(Matches(rules, "Paris!", {"paris"}));
}

}  // namespace
}  // namespace quantd
