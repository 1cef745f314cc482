#include "evaluators/likelihood_task.h"

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "tests/testing/small_tokenizer.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TaskDefinition Definition(TaskKind kind) {
  TaskDefinition task;
  task.name = "example";
  task.kind = kind;
  return task;
}

// `right` is the place of the right choice.
TaskItem Item(const std::string& context, std::vector<std::string> texts,
              int right) {
  TaskItem item;
  for (const std::string& text : texts) {
    item.choices.push_back({context, " " + text, text});
  }
  item.gold = {right};
  return item;
}

// One token a byte; `bos` puts "~" before every text.
std::unique_ptr<Tokenizer> Bytes(bool bos = false) {
  return *ParseTokenizer(test::SmallTokenizer().dump(),
                         bos ? R"({"bos_token": "~", "add_bos_token": true})"
                             : R"({"bos_token": "~"})");
}

std::string TextOf(const std::vector<int32_t>& tokens) {
  return std::string(tokens.begin(), tokens.end());
}

// Gives every token the log-likelihood that `of` says of its text.
template <typename Function>
void FoldAll(LikelihoodTask* task, Function of, bool greedy = true) {
  for (size_t r = 0; r < task->requests().size(); ++r) {
    const ScoreRequest& request = task->requests()[r];
    std::vector<TokenScore> scores;
    for (int t = 0; t < request.target_count; ++t) {
      const size_t at = static_cast<size_t>(request.first_target + t);
      TokenScore score;
      score.nll = -of(static_cast<char>(request.tokens[at]));
      score.top = greedy ? request.tokens[at] : -1;
      scores.push_back(score);
    }
    ASSERT_TRUE(task->Fold(r, scores).ok());
  }
}

std::map<std::string, double> Values(const v1::TaskReport& report) {
  std::map<std::string, double> values;
  for (const v1::TaskMetric& metric : report.metrics()) {
    values[metric.name()] = metric.value();
  }
  return values;
}

TEST(LikelihoodTaskTest, ContextAndContinuationAreEncodedTogetherAndCut) {
  ASSERT_OK_AND_ASSIGN(
      const LikelihoodTask task,
      LikelihoodTask::Create(
          Definition(TaskKind::kMultipleChoice),
          {Item("Q:", {"ab", "c"}, 0), Item("R:", {"d", "e"}, 1)}, *Bytes(true),
          0));
  ASSERT_EQ(task.requests().size(), 8u);
  EXPECT_EQ(TextOf(task.requests()[0].tokens), "~Q: ab");
  EXPECT_EQ(task.requests()[0].first_target, 3);
  EXPECT_EQ(task.requests()[0].target_count, 3);
  EXPECT_EQ(TextOf(task.requests()[3].tokens), "~R: e");
  // Behind them the choices without their context.
  EXPECT_EQ(TextOf(task.requests()[4].tokens), "~ab");
  EXPECT_EQ(task.requests()[4].first_target, 1);
  EXPECT_EQ(task.requests()[4].target_count, 2);
}

TEST(LikelihoodTaskTest, AnEmptyContextIsTheBos) {
  for (const bool adds : {true, false}) {
    ASSERT_OK_AND_ASSIGN(
        const LikelihoodTask task,
        LikelihoodTask::Create(Definition(TaskKind::kMultipleChoice),
                               {Item("", {"ab", "c"}, 0)}, *Bytes(adds), 0));
    EXPECT_EQ(TextOf(task.requests()[0].tokens), "~ ab");
    EXPECT_EQ(task.requests()[0].first_target, 1);
  }
  EXPECT_THAT(
      LikelihoodTask::Create(
          Definition(TaskKind::kMultipleChoice), {Item("", {"ab", "c"}, 0)},
          **ParseTokenizer(test::SmallTokenizer().dump(), ""), 0),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("no token that could stand before an empty context")));
}

TEST(LikelihoodTaskTest, AnEmptyContextIsTheBosWhateverATextBeginsWith) {
  nlohmann::json file = test::SmallTokenizer();
  file["post_processor"] = nlohmann::json::parse(
      R"({"type": "TemplateProcessing",
          "single": [{"SpecialToken": {"id": "!", "type_id": 0}},
                     {"Sequence": {"id": "A", "type_id": 0}}],
          "special_tokens": {"!": {"id": "!", "ids": [33]}}})");
  ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                       ParseTokenizer(file.dump(), R"({"bos_token": "~"})"));
  ASSERT_OK_AND_ASSIGN(
      const LikelihoodTask task,
      LikelihoodTask::Create(Definition(TaskKind::kMultipleChoice),
                             {Item("", {"ab"}, 0), Item("Q:", {"ab"}, 0)},
                             *tokenizer, 0));
  EXPECT_EQ(TextOf(task.requests()[0].tokens), "~ ab");
  EXPECT_EQ(TextOf(task.requests()[1].tokens), "!Q: ab");
}

TEST(LikelihoodTaskTest, LongPromptsAreCutFromTheLeft) {
  ASSERT_OK_AND_ASSIGN(
      LikelihoodTask task,
      LikelihoodTask::Create(
          Definition(TaskKind::kMultipleChoice),
          {Item("0123456789", {"ab", "c"}, 0), Item("01", {"ab", "c"}, 0)},
          *Bytes(true), 8));
  // One more than the context: the last token is only predicted.
  EXPECT_EQ(TextOf(task.requests()[0].tokens), "456789 ab");
  EXPECT_EQ(task.requests()[0].first_target, 6);
  FoldAll(&task, [](char) { return -1.0; });
  v1::TaskReport report;
  ASSERT_TRUE(task.Report(&report).ok());
  EXPECT_EQ(report.cut_items(), 1u);
  EXPECT_THAT(
      LikelihoodTask::Create(Definition(TaskKind::kMultipleChoice),
                             {Item("x", {"0123456789", "c"}, 0)}, *Bytes(), 8),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("item 0 (line 0): a continuation of 11 tokens does "
                         "not fit the model's context of 8")));
}

// Choices "aa" and "b": per byte -1 and -3, the blank -1.
//   LL            -3 and -4        the first
//   characters    -1.5 and -4      the first
//   tokens        -1 and -2        the first
TEST(LikelihoodTaskTest, EveryNormalisationByHand) {
  TaskDefinition definition = Definition(TaskKind::kMultipleChoice);
  std::vector<TaskItem> items = {Item("Q:", {"aa", "b"}, 0),
                                 Item("Q:", {"aa", "b"}, 1)};
  // "\u00e9" is one character of two bytes.
  items.push_back(Item("Q:", {"\xc3\xa9", "ccc"}, 0));
  ASSERT_OK_AND_ASSIGN(LikelihoodTask task,
                       LikelihoodTask::Create(definition, items, *Bytes(), 0));
  FoldAll(&task, [](char c) {
    switch (c) {
      case 'b':
        return -3.0;
      case 'c':
        return -2.0;
      case '\xc3':
      case '\xa9':
        return -2.5;
      default:
        return -1.0;
    }
  });
  v1::TaskReport report;
  ASSERT_TRUE(task.Report(&report).ok());
  // The third item: LL -6 and -7, per character -6 and -7/3, per byte -3 and
  // -7/3, per token -2 and -7/4, PMI -6 + 5 and -7 + 6: a tie.
  const auto values = Values(report);
  EXPECT_DOUBLE_EQ(values.at("acc"), 2.0 / 3);
  EXPECT_DOUBLE_EQ(values.at("acc_norm"), 1.0 / 3);
  EXPECT_DOUBLE_EQ(values.at("acc_bytes"), 1.0 / 3);
  EXPECT_DOUBLE_EQ(values.at("acc_token"), 1.0 / 3);
  // PMI of the first two is -1 for both choices: ties share.
  EXPECT_DOUBLE_EQ(values.at("acc_pmi"), 0.5);
  const double p = 1 / (1 + std::exp(-1.0));
  const double right = 2 * (1 - p) * (1 - p), wrong = 2 * p * p;
  EXPECT_NEAR(values.at("brier_score"), (2 * right + wrong) / 3, 1e-12);
  EXPECT_THAT(report.item_choice(), ElementsAre(0, 0, 0));
  EXPECT_EQ(report.tied_items(), 0u);
  EXPECT_FALSE(report.metrics(0).item_values().empty());
}

TEST(LikelihoodTaskTest, AUniformModelGetsHalfOfTwoWhateverTheirPlaces) {
  std::vector<TaskItem> items;
  for (int i = 0; i < 100; ++i) items.push_back(Item("", {"good", "evil"}, 0));
  items.push_back(Item("", {"same", "same"}, 0));
  ASSERT_OK_AND_ASSIGN(
      LikelihoodTask task,
      LikelihoodTask::Create(Definition(TaskKind::kMultipleChoice), items,
                             *Bytes(), 0));
  FoldAll(&task, [](char) { return -std::log(256.0); });
  v1::TaskReport report;
  ASSERT_TRUE(task.Report(&report).ok());
  const auto values = Values(report);
  for (const char* name : {"acc", "acc_norm", "acc_bytes", "acc_token"}) {
    EXPECT_EQ(values.at(name), 0.5) << name;
  }
  EXPECT_EQ(values.count("acc_pmi"), 0u) << "there is no context";
  EXPECT_EQ(task.requests().size(), 2u * 101);
  EXPECT_DOUBLE_EQ(values.at("brier_score"), 0.5);
  EXPECT_EQ(report.tied_items(), 101u);
  EXPECT_EQ(report.indistinguishable_items(), 1u);
}

// An item whose right choice is `right` and whose likelier one `chosen`, where
// a is likelier than b.
TaskItem Classified(int right, int chosen) {
  return chosen == 0 ? Item("Q:", {"a", "b"}, right)
                     : Item("Q:", {"b", "a"}, right);
}

absl::StatusOr<v1::TaskReport> ReportOf(const TaskDefinition& definition,
                                        std::vector<TaskItem> items) {
  ASSIGN_OR_RETURN(LikelihoodTask task,
                   LikelihoodTask::Create(definition, items, *Bytes(), 0));
  FoldAll(&task, [](char c) { return c == 'b' ? -3.0 : -1.0; });
  v1::TaskReport report;
  RETURN_IF_ERROR(task.Report(&report));
  return report;
}

TEST(LikelihoodTaskTest, ClassesAreScoredWhereTheTaskAsks) {
  TaskDefinition definition = Definition(TaskKind::kMultipleChoice);
  const std::vector<TaskItem> items = {Classified(1, 1), Classified(1, 0),
                                       Classified(1, 1), Classified(0, 1)};
  ASSERT_OK_AND_ASSIGN(const v1::TaskReport without,
                       ReportOf(definition, items));
  EXPECT_EQ(Values(without).count("f1"), 0u);
  definition.metrics.emplace_back().name = "f1";
  definition.metrics.emplace_back().name = "mcc";
  ASSERT_OK_AND_ASSIGN(const v1::TaskReport report,
                       ReportOf(definition, items));
  ASSERT_GE(report.metrics_size(), 3);
  EXPECT_EQ(report.metrics(0).name(), "f1") << "the task is quoted by it";
  EXPECT_EQ(report.metrics(1).name(), "mcc");
  EXPECT_NEAR(report.metrics(0).value(), 2.0 / 3, 1e-12);
  EXPECT_NEAR(report.metrics(1).value(), -1.0 / 3, 1e-12);
  for (const v1::TaskMetric& metric : {report.metrics(0), report.metrics(1)}) {
    EXPECT_GT(metric.error_iid(), 0);
    EXPECT_LT(metric.low(), metric.value());
    EXPECT_GT(metric.high(), metric.value());
    ASSERT_EQ(metric.item_values_size(), 4);
    double sum = 0;
    for (const float value : metric.item_values()) sum += value;
    EXPECT_NEAR(sum / 4, metric.value(), 1e-6);
  }
  definition.metrics[0].f1_average = F1Average::kMacro;
  ASSERT_OK_AND_ASSIGN(const v1::TaskReport macro, ReportOf(definition, items));
  EXPECT_NEAR(Values(macro).at("f1"), (2.0 / 3 + 0) / 2, 1e-12);
}

TEST(LikelihoodTaskTest, ClassesOfThreeAreAveraged) {
  TaskDefinition definition = Definition(TaskKind::kMultipleChoice);
  definition.metrics.emplace_back().name = "f1";
  definition.subsets = {"half"};
  std::vector<TaskItem> items;
  // Right 0 0 1 1 and chosen 0 0 1 0; nothing is 2. The last one ties.
  items.push_back(Item("Q:", {"a", "b", "bb"}, 0));
  items.push_back(Item("Q:", {"a", "b", "bb"}, 0));
  items.push_back(Item("Q:", {"b", "a", "bb"}, 1));
  items.push_back(Item("Q:", {"a", "b", "bb"}, 1));
  items.push_back(Item("Q:", {"a", "a", "b"}, 0));
  for (size_t i = 0; i < items.size(); ++i) {
    items[i].labels = {i < 4 ? "first" : "second"};
  }
  ASSERT_OK_AND_ASSIGN(const v1::TaskReport report,
                       ReportOf(definition, items));
  ASSERT_EQ(report.subsets_size(), 2);
  EXPECT_NEAR(report.subsets(0).values(0), (0.8 + 2.0 / 3) / 3, 1e-12);
  // Class 0: right 3, chosen 3.5, both 2.5; class 1: right 2, chosen 1.5, one.
  EXPECT_NEAR(report.metrics(0).value(), (5 / 6.5 + 2 / 3.5) / 3, 1e-12);
  definition.metrics[0].f1_average = F1Average::kBinary;
  EXPECT_THAT(ReportOf(definition, items),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("item 0 (line 0): the average binary of f1 is "
                                 "of two choices, there are 3")));
  definition.metrics[0].name = "mcc";
  definition.metrics[0].f1_average = F1Average::kByChoices;
  items[1].gold = {0, 1};
  EXPECT_THAT(ReportOf(definition, items),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("item 1 (line 0): mcc needs one right choice, "
                                 "there are 2")));
}

TEST(LikelihoodTaskTest, ErrorsOfClassesAreThoseOfTheirClusters) {
  TaskDefinition definition = Definition(TaskKind::kMultipleChoice);
  definition.metrics.emplace_back().name = "f1";
  // Every item four times over.
  std::vector<TaskItem> items;
  for (int i = 0; i < 60; ++i) {
    for (int copy = 0; copy < 4; ++copy) {
      items.push_back(Classified(i % 2, i % 3 == 0 ? 0 : 1));
      items.back().cluster = "c" + std::to_string(i);
    }
  }
  ASSERT_OK_AND_ASSIGN(const v1::TaskReport report,
                       ReportOf(definition, items));
  const v1::TaskMetric& f1 = report.metrics(0);
  EXPECT_NEAR(f1.error_clustered() / f1.error_iid(), 2, 0.2);
  EXPECT_LT(f1.low(), f1.value() - f1.error_clustered());
  EXPECT_GT(f1.high(), f1.value() + f1.error_clustered());
}

TEST(LikelihoodTaskTest, NaNFailsTheRunAndNamesTheItem) {
  for (const double bad :
       {std::nan(""), std::numeric_limits<double>::infinity()}) {
    ASSERT_OK_AND_ASSIGN(
        LikelihoodTask task,
        LikelihoodTask::Create(
            Definition(TaskKind::kMultipleChoice),
            {Item("Q:", {"a", "b"}, 0), Item("Q:", {"a", "b"}, 0)}, *Bytes(),
            0));
    const std::vector<TokenScore> scores = {{1}, {bad}};
    EXPECT_THAT(task.Fold(3, scores),
                StatusIs(absl::StatusCode::kInternal,
                         HasSubstr("item 1 (line 0), choice 1")));
  }
}

TEST(LikelihoodTaskTest, GreedyMatchesAndTheirPerplexity) {
  std::vector<TaskItem> items;
  for (const char* word : {"word", "other"}) {
    TaskItem item;
    item.choices.push_back({"a", std::string(" ") + word, word});
    item.gold = {0};
    items.push_back(item);
  }
  ASSERT_OK_AND_ASSIGN(
      LikelihoodTask task,
      LikelihoodTask::Create(Definition(TaskKind::kGreedyMatch), items,
                             *Bytes(), 0));
  ASSERT_EQ(task.requests().size(), 2u);
  std::vector<TokenScore> scores;
  for (const char c : std::string(" word")) {
    scores.push_back({0.5, 0, c});
  }
  ASSERT_TRUE(task.Fold(0, scores).ok());
  scores.clear();
  for (const char c : std::string(" other")) {
    scores.push_back({0.25, 0, c == 'h' ? 'x' : c});
  }
  ASSERT_TRUE(task.Fold(1, scores).ok());
  v1::TaskReport report;
  ASSERT_TRUE(task.Report(&report).ok());
  EXPECT_EQ(Values(report).at("acc"), 0.5);
  EXPECT_NEAR(Values(report).at("perplexity"), std::exp((2.5 + 1.5) / 2),
              1e-12);
}

TEST(LikelihoodTaskTest, TrueAnswersShareTheMass) {
  TaskItem item = Item("Q:", {"a", "b", "cc"}, 0);
  item.gold = {0, 2};
  ASSERT_OK_AND_ASSIGN(
      LikelihoodTask task,
      LikelihoodTask::Create(Definition(TaskKind::kMultipleTrue), {item, item},
                             *Bytes(), 0));
  ASSERT_EQ(task.requests().size(), 6u) << "no unconditional ones";
  FoldAll(&task, [](char c) { return c == 'b' ? -3.0 : -1.0; });
  v1::TaskReport report;
  ASSERT_TRUE(task.Report(&report).ok());
  const double a = std::exp(-2.0), b = std::exp(-4.0), c = std::exp(-3.0);
  EXPECT_NEAR(Values(report).at("true_mass"), (a + c) / (a + b + c), 1e-12);
}

TEST(LikelihoodTaskTest, SubsetsAndClustersAreReported) {
  TaskDefinition definition = Definition(TaskKind::kMultipleChoice);
  definition.subsets = {"uid", "field"};
  definition.group_mean = GroupMean::kSubsets;
  std::vector<TaskItem> items;
  // Three of the first, all right; one of the second, wrong.
  for (int i = 0; i < 4; ++i) {
    TaskItem item = Item("Q:", {"a", "b"}, i < 3 ? 0 : 1);
    item.labels = {i < 3 ? "one" : "two", "syntax"};
    item.cluster = i < 2 ? "x" : "y";
    items.push_back(item);
  }
  ASSERT_OK_AND_ASSIGN(LikelihoodTask task,
                       LikelihoodTask::Create(definition, items, *Bytes(), 0));
  FoldAll(&task, [](char c) { return c == 'b' ? -3.0 : -1.0; });
  v1::TaskReport report;
  ASSERT_TRUE(task.Report(&report).ok());
  EXPECT_EQ(Values(report).at("acc"), 0.5) << "the mean of 1 and 0";
  EXPECT_EQ(report.cluster_count(), 2u);
  EXPECT_THAT(report.item_cluster(), ElementsAre(0, 0, 1, 1));
  ASSERT_EQ(report.subsets_size(), 3);
  EXPECT_EQ(report.subsets(0).value(), "one");
  EXPECT_EQ(report.subsets(0).item_count(), 3u);
  EXPECT_EQ(report.subsets(0).values(0), 1);
  EXPECT_EQ(report.subsets(2).key(), "field");
  EXPECT_THAT(report.subsets(2).values(0), DoubleNear(0.75, 1e-12));
}

TEST(LikelihoodTaskTest, AModelThatKnowsOnlyAPlaceIsFound) {
  std::vector<TaskItem> items;
  for (int i = 0; i < 20; ++i) items.push_back(Item("Q:", {"a", "b"}, i % 2));
  ASSERT_OK_AND_ASSIGN(
      LikelihoodTask task,
      LikelihoodTask::Create(Definition(TaskKind::kMultipleChoice), items,
                             *Bytes(), 0));
  FoldAll(&task, [](char c) { return c == 'b' ? -3.0 : -1.0; });
  v1::TaskReport report;
  ASSERT_TRUE(task.Report(&report).ok());
  EXPECT_TRUE(report.constant_answer());
  EXPECT_THAT(report.chosen_share(), ElementsAre(1, 0));
  EXPECT_THAT(report.gold_share(), ElementsAre(0.5, 0.5));
}

}  // namespace
}  // namespace quantd
