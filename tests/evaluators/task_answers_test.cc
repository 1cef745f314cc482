#include "evaluators/task_answers.h"

#include <random>
#include <regex>
#include <string>
#include <vector>

#include "evaluators/tasks/builtin_tasks.h"
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
  EXPECT_TRUE(Matches(rules, "Paris", {"London", "Paris"}));
  EXPECT_FALSE(Matches(rules, "paris", {"London", "Paris"}));
  rules.regexes_to_ignore = {",", "\\$", "(?s).*#### ", "\\.$"};
  EXPECT_TRUE(Matches(rules, "$1,800.", {"so 9 + 9\n#### 1800"}));
  EXPECT_FALSE(Matches(rules, "Paris", {"paris"}));
  rules.ignore_case = true;
  rules.ignore_punctuation = true;
  EXPECT_TRUE(Matches(rules, "Paris!", {"paris"}));
  rules.regexes_to_ignore = {"(?i)\\bthe "};
  EXPECT_TRUE(Matches(rules, "The paris.", {"Paris"}));
}

// GSM8K's answers, which its task file takes by filters.
class Gsm8kAnswersTest : public testing::Test {
 protected:
  static std::string Answer(const std::string& filter,
                            const std::string& text) {
    const TaskDefinition& task = Task();
    for (size_t f = 0; f < task.filters.size(); ++f) {
      if (task.filters[f].name == filter) return Extract(task.filters, text)[f];
    }
    ADD_FAILURE() << "no filter " << filter;
    return "";
  }
  static std::string Strict(const std::string& text) {
    return Answer("strict-match", text);
  }
  static std::string Flexible(const std::string& text) {
    return Answer("flexible-extract", text);
  }

  static const TaskDefinition& Task() {
    static const TaskDefinition& task =
        *new TaskDefinition(*FindBuiltinTask("gsm8k"));
    return task;
  }
};

TEST_F(Gsm8kAnswersTest, StrictNumberFollowsItsMark) {
  EXPECT_EQ(Strict("2+2\n#### 4\n#### 5"), "4");
  EXPECT_EQ(Strict("#### $5 #### -1,234.50."), "-1,234.50.");
  EXPECT_EQ(Strict("####4"), "[invalid]");
  EXPECT_EQ(Strict("the answer is 4"), "[invalid]");
}

TEST_F(Gsm8kAnswersTest, FlexibleNumberIsTheLast) {
  EXPECT_EQ(Flexible("from 3 to $1,200."), "$1,200.");
  EXPECT_EQ(Flexible("x = -5"), "-5");
  EXPECT_EQ(Flexible("7, so."), "7,");
  EXPECT_EQ(Flexible("none."), "[invalid]");
  // Two points are what the pattern in use takes for a number.
  EXPECT_EQ(Flexible("4 ..."), "...");
}

TEST_F(Gsm8kAnswersTest, NumbersLoseWhatDoesNotCount) {
  const TaskMetric& rules = Task().metrics[0];
  EXPECT_EQ(rules.name, "exact_match");
  EXPECT_TRUE(Matches(rules, "$1,234.", {"so it is\n#### 1234"}));
  EXPECT_FALSE(Matches(rules, "18.00", {"#### 18"}));
  EXPECT_TRUE(Matches(rules, "", {""}));
  EXPECT_FALSE(Matches(rules, "[invalid]", {"#### 18"}));
}

TEST_F(Gsm8kAnswersTest, NumbersAreThoseOfTheirPatterns) {
  const std::regex strict("#### (-?[0-9.,]+)");
  const std::regex flexible("(-?[$0-9.,]{2,})|(-?[0-9]+)");
  ASSERT_OK_AND_ASSIGN(const AnswerExtractor extractor,
                       AnswerExtractor::Create(Task().filters));
  std::mt19937 engine(4);
  const std::string alphabet = "#### -$.,19a ";
  for (int round = 0; round < 20000; ++round) {
    std::string text(engine() % 14, ' ');
    for (char& c : text) c = alphabet[engine() % alphabet.size()];
    if (round % 2 == 0) text = "#### " + text;
    std::smatch match;
    std::string first = "[invalid]";
    if (std::regex_search(text, match, strict)) first = match[1].str();
    std::string last = "[invalid]";
    for (std::sregex_iterator it(text.begin(), text.end(), flexible), end;
         it != end; ++it) {
      last = it->str();
    }
    EXPECT_THAT(extractor.Extract(text), ElementsAre(first, last)) << text;
  }
}

}  // namespace
}  // namespace quantd
