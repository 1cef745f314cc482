#include "evaluators/tasks/builtin_tasks.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/joined_files.h"
#include "evaluators/tasks/task_item.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

TaskDefinition Builtin(absl::string_view name) {
  auto task = FindBuiltinTask(name);
  EXPECT_THAT(task, IsOk());
  return task.value_or(TaskDefinition());
}

std::vector<TaskItem> Items(absl::string_view name, absl::string_view data,
                            absl::string_view few_shot_data = "",
                            const TaskItemOptions& options = {}) {
  auto items = BuildTaskItems(Builtin(name), data, few_shot_data, options);
  EXPECT_THAT(items, IsOk());
  return items.value_or(std::vector<TaskItem>(1));
}

TaskItem Item(absl::string_view name, absl::string_view record) {
  return Items(name, record, "", {.few_shot = 0})[0];
}

std::vector<std::string> Continuations(const TaskItem& item) {
  std::vector<std::string> texts;
  for (const TaskChoice& choice : item.choices) {
    texts.push_back(choice.continuation);
  }
  return texts;
}

std::vector<std::string> MetricNames(const TaskDefinition& task) {
  std::vector<std::string> names;
  for (const TaskMetric& metric : task.metrics) names.push_back(metric.name);
  return names;
}

// Every choice has the same context.
void ExpectContext(const TaskItem& item, const std::string& context) {
  ASSERT_FALSE(item.choices.empty());
  for (const TaskChoice& choice : item.choices) {
    EXPECT_EQ(choice.context, context);
  }
}

// The file as it lies in the shared folder, or nothing where that is absent.
std::optional<std::string> SharedData(const TaskDefinition& task) {
  const std::string folder = SharedPath("data");
  if (!std::filesystem::exists(folder)) return std::nullopt;
  const auto files = FindFiles(folder, task.data.file);
  EXPECT_THAT(files, IsOk());
  if (!files.ok()) return "";
  auto data = ReadJoined(*files, FileHead::kNone);
  EXPECT_THAT(data, IsOk());
  return data.value_or("");
}

#define SKIP_WITHOUT(data) \
  if (!(data).has_value()) GTEST_SKIP() << "the shared data is not here"

TEST(BuiltinTasksTest, EveryFileIsATaskOfItsName) {
  std::set<std::string> names;
  for (const BuiltinTask& builtin : BuiltinTasks()) {
    const TaskDefinition task = Builtin(builtin.name);
    EXPECT_EQ(task.name, builtin.name);
    EXPECT_NE(task.title, "") << task.name;
    EXPECT_NE(task.citation, "") << task.name;
    EXPECT_NE(task.about, "") << task.name;
    EXPECT_NE(task.version, "") << task.name;
    EXPECT_THAT(task.digest, SizeIs(64));
    names.insert(task.name);
  }
  EXPECT_EQ(names.size(), 18u);
  EXPECT_THAT(FindBuiltinTask("blimpp"),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("\"blimpp\""),
                             HasSubstr("arc_challenge, arc_easy, blimp, "))));
}

TEST(BuiltinTasksTest, FilesOfTheFolderAreAllBuiltIn) {
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(
           ProjectPath("evaluators/task_files"))) {
    ++files;
    EXPECT_THAT(FindBuiltinTask(entry.path().stem().string()), IsOk());
  }
  EXPECT_EQ(files, BuiltinTasks().size());
}

TEST(BlimpTest, SentencesAreScoredBehindABlankAndNoContext) {
  const TaskItem item = Item("blimp", R"({"sentence_good": "They run.",
      "sentence_bad": "They runs.", "UID": "agreement_1",
      "linguistics_term": "agreement"})");
  ExpectContext(item, "");
  EXPECT_THAT(Continuations(item), ElementsAre(" They run.", " They runs."));
  EXPECT_EQ(item.choices[0].text, "They run.");
  EXPECT_THAT(item.gold, ElementsAre(0));
  EXPECT_THAT(item.labels, ElementsAre("agreement_1", "agreement"));
  EXPECT_EQ(item.cluster, "agreement_1");
  const TaskDefinition task = Builtin("blimp");
  EXPECT_THAT(MetricNames(task), ElementsAre("acc"));
  EXPECT_EQ(task.group_mean, GroupMean::kSubsets);
  EXPECT_EQ(task.num_fewshot, 0);
}

TEST(BlimpTest, SixtySevenSetsOfThousandPairs) {
  const auto data = SharedData(Builtin("blimp"));
  SKIP_WITHOUT(data);
  const std::vector<TaskItem> items = Items("blimp", *data);
  ASSERT_THAT(items, SizeIs(67'000));
  std::map<std::string, int> sets;
  std::set<std::string> terms;
  std::map<std::string, int> identical;
  for (const TaskItem& item : items) {
    ++sets[item.labels[0]];
    terms.insert(item.labels[1]);
    if (item.choices[0].continuation == item.choices[1].continuation) {
      ++identical[item.labels[0]];
    }
  }
  EXPECT_THAT(sets, SizeIs(67));
  for (const auto& [name, count] : sets) EXPECT_EQ(count, 1000) << name;
  EXPECT_THAT(terms, SizeIs(13));
  // Pairs that no model can tell apart.
  EXPECT_THAT(identical, ElementsAre(std::pair("passive_1", 2),
                                     std::pair("principle_A_case_2", 5)));
  // In the order of the files' names.
  EXPECT_EQ(items[0].labels[0], "adjunct_island");
  EXPECT_EQ(items[0].choices[0].continuation,
            " Who should Derek hug after shocking Richard?");
  const std::vector<TaskItem> few =
      Items("blimp", *data, "", {.max_items = 670});
  std::map<std::string, int> share;
  for (const TaskItem& item : few) ++share[item.labels[0]];
  EXPECT_THAT(share, SizeIs(67));
  for (const auto& [name, count] : share) EXPECT_EQ(count, 10) << name;
}

TEST(LambadaTest, LastWordWithItsBlankIsTheContinuation) {
  for (const char* record :
       {R"({"text": "He took the bus and went home"})",
        R"({"context": "He took the bus and went", "continuation": "home"})"}) {
    const TaskItem item = Item("lambada_openai", record);
    ExpectContext(item, "He took the bus and went");
    EXPECT_THAT(Continuations(item), ElementsAre(" home"));
  }
  const TaskDefinition task = Builtin("lambada_openai");
  EXPECT_EQ(task.kind, TaskKind::kGreedyMatch);
  EXPECT_THAT(MetricNames(task), ElementsAre("acc", "perplexity"));
  const auto data = SharedData(task);
  SKIP_WITHOUT(data);
  const std::vector<TaskItem> items = Items("lambada_openai", *data);
  ASSERT_THAT(items, SizeIs(5153));
  EXPECT_THAT(Continuations(items[0]), ElementsAre(" signs"));
  EXPECT_THAT(
      items[0].choices[0].context,
      AllOf(StartsWith("In my palm is a clear stone, and inside it "),
            ::testing::EndsWith("a confident grin, I don't care about")));
}

TEST(HellaswagTest, OriginalRecordsGetTheUsualCleaning) {
  const TaskItem item = Item("hellaswag", R"({
      "activity_label": "Home and Garden",
      "ctx_a": "[header] How to dig [title] Take a spade.",
      "ctx_b": "the MAN", "label": "2",
      "endings": [" [step] digs  fast.", "a", "b [x] c", "d"]})");
  ExpectContext(item, "Home and Garden: How to dig. Take a spade. The man");
  // The blank behind a mark at the beginning stays, as it does there.
  EXPECT_THAT(Continuations(item),
              ElementsAre("  digs fast.", " a", " b c", " d"));
  EXPECT_THAT(item.gold, ElementsAre(2));
}

TEST(HellaswagTest, TextFormIsReadCompressed) {
  const TaskItem item =
      Item("hellaswag", "Skiing: A man. he\n3\nfalls.\nsits.\nruns.\nskis.\n");
  ExpectContext(item, "Skiing: A man. he");
  EXPECT_EQ(item.choices[3].continuation, " skis.");
  EXPECT_EQ(item.choices[3].text, "skis.");
  EXPECT_THAT(item.gold, ElementsAre(3));
  const TaskDefinition task = Builtin("hellaswag");
  EXPECT_THAT(MetricNames(task), ElementsAre("acc", "acc_norm"));
  const auto data = SharedData(task);
  SKIP_WITHOUT(data);
  const std::vector<TaskItem> items = Items("hellaswag", *data);
  ASSERT_THAT(items, SizeIs(10'042));
  ExpectContext(items[0],
                "Roof shingle removal: A man is sitting on a roof. he");
  EXPECT_THAT(
      Continuations(items[0]),
      ElementsAre(" is using wrap to wrap a pair of skis.",
                  " is ripping level tiles off.", " is holding a rubik's cube.",
                  " starts pulling up roofing on a roof."));
  EXPECT_THAT(items[0].gold, ElementsAre(3));
}

TEST(PiqaTest, BothFormsGiveOnePrompt) {
  for (const char* record :
       {R"({"goal": "open a jar", "sol1": "Twist.", "sol2": "Sing.",
            "label": 0})",
        R"({"query": "Question: open a jar\n", "choices": ["Twist.", "Sing."],
            "gold": 0})"}) {
    const TaskItem item = Item("piqa", record);
    ExpectContext(item, "Question: open a jar\nAnswer:");
    EXPECT_THAT(Continuations(item), ElementsAre(" Twist.", " Sing."));
    EXPECT_THAT(item.gold, ElementsAre(0));
  }
  const TaskDefinition task = Builtin("piqa");
  EXPECT_THAT(MetricNames(task), ElementsAre("acc", "acc_norm"));
  const auto data = SharedData(task);
  SKIP_WITHOUT(data);
  const std::vector<TaskItem> items = Items("piqa", *data);
  ASSERT_THAT(items, SizeIs(1838));
  ExpectContext(items[0],
                "Question: How do I ready a guinea pig cage for it's new "
                "occupants?\nAnswer:");
  EXPECT_THAT(items[0].gold, ElementsAre(0));
}

TEST(ArcTest, BothFormsGiveOnePrompt) {
  for (const char* name : {"arc_easy", "arc_challenge"}) {
    for (const char* record :
         {R"({"question": "What is ice?", "choices": {"text": ["gas", "solid"],
              "label": ["1", "2"]}, "answerKey": "2"})",
          R"({"query": "Question: What is ice?", "choices": ["gas", "solid"],
              "gold": 1})"}) {
      const TaskItem item = Item(name, record);
      ExpectContext(item, "Question: What is ice?\nAnswer:");
      EXPECT_THAT(Continuations(item), ElementsAre(" gas", " solid"));
      EXPECT_THAT(item.gold, ElementsAre(1));
    }
    EXPECT_THAT(MetricNames(Builtin(name)), ElementsAre("acc", "acc_norm"));
  }
}

TEST(ArcTest, SharedDataHasPaddedItems) {
  const struct {
    const char* name;
    size_t items;
    int padded;
    const char* first;
  } cases[] = {
      {"arc_easy", 2376, 7,
       "Question: Which statement best explains why photosynthesis is the "
       "foundation of most food webs?\nAnswer:"},
      {"arc_challenge", 1172, 4,
       "Question: An astronomer observes that a planet rotates faster after a "
       "meteorite impact. Which is the most likely effect of this increase in "
       "rotation?\nAnswer:"},
  };
  for (const auto& expected : cases) {
    const auto data = SharedData(Builtin(expected.name));
    SKIP_WITHOUT(data);
    const std::vector<TaskItem> items = Items(expected.name, *data);
    ASSERT_THAT(items, SizeIs(expected.items));
    ExpectContext(items[0], expected.first);
    int padded = 0;
    for (const TaskItem& item : items) {
      ASSERT_THAT(item.choices, SizeIs(4));
      std::map<std::string, int> texts;
      for (const TaskChoice& choice : item.choices) ++texts[choice.text];
      if (texts.size() == 4) continue;
      ++padded;
      // What is repeated is wrong, so that acc does not change.
      EXPECT_EQ(texts[item.choices[static_cast<size_t>(item.gold[0])].text], 1);
    }
    EXPECT_EQ(padded, expected.padded) << expected.name;
  }
}

TEST(WinograndeTest, OneEndingBehindTwoContexts) {
  for (const char* record :
       {R"({"sentence": "Ann thanked Eve because _ had helped.",
            "option1": "Ann", "option2": "Eve", "answer": "2"})",
        R"({"context_options": ["Ann thanked Eve because Ann",
            "Ann thanked Eve because Eve"], "continuation": "had helped.",
            "gold": 1})"}) {
    const TaskItem item = Item("winogrande", record);
    ASSERT_THAT(item.choices, SizeIs(2));
    EXPECT_EQ(item.choices[0].context, "Ann thanked Eve because Ann");
    EXPECT_EQ(item.choices[1].context, "Ann thanked Eve because Eve");
    EXPECT_THAT(Continuations(item),
                ElementsAre(" had helped.", " had helped."));
    EXPECT_THAT(item.gold, ElementsAre(1));
  }
  const TaskDefinition task = Builtin("winogrande");
  EXPECT_THAT(MetricNames(task), ElementsAre("acc"));
  const auto data = SharedData(task);
  SKIP_WITHOUT(data);
  const std::vector<TaskItem> items = Items("winogrande", *data);
  ASSERT_THAT(items, SizeIs(1267));
  EXPECT_EQ(items[0].choices[1].context,
            "Sarah was a much better surgeon than Maria so Maria");
  EXPECT_EQ(items[0].choices[1].continuation, " always got the easier cases.");
  EXPECT_THAT(items[0].gold, ElementsAre(1));
}

TEST(BoolqTest, EveryFormGivesOnePrompt) {
  for (const char* record :
       {R"({"passage": "Ice floats.", "question": "does ice sink",
            "label": 0})",
        R"({"passage": "Ice floats.", "question": "does ice sink",
            "answer": false})",
        R"({"query": "Passage: Ice floats.\nQuestion: does ice sink?",
            "choices": ["no", "yes"], "gold": 0})"}) {
    const TaskItem item = Item("boolq", record);
    ExpectContext(item, "Ice floats.\nQuestion: does ice sink?\nAnswer:");
    EXPECT_THAT(Continuations(item), ElementsAre(" no", " yes"));
    EXPECT_THAT(item.gold, ElementsAre(0));
    EXPECT_THAT(item.cluster, HasSubstr("Ice floats."));
  }
  EXPECT_THAT(MetricNames(Builtin("boolq")), ElementsAre("acc"));
}

TEST(BoolqTest, SharedDataSaysYesMostly) {
  const auto data = SharedData(Builtin("boolq"));
  SKIP_WITHOUT(data);
  const std::vector<TaskItem> items = Items("boolq", *data);
  ASSERT_THAT(items, SizeIs(3270));
  int yes = 0;
  for (const TaskItem& item : items) {
    yes += item.gold[0];
    EXPECT_THAT(item.choices[0].context, Not(StartsWith("Passage: ")));
  }
  EXPECT_NEAR(100.0 * yes / 3270, 62.17, 0.005);
  EXPECT_THAT(
      items[0].choices[0].context,
      AllOf(StartsWith("All biomass goes through at least"),
            ::testing::EndsWith("\nQuestion: does ethanol take more "
                                "energy make that produces?\nAnswer:")));
}

TEST(OpenbookqaTest, QuestionAloneIsTheContext) {
  for (const char* record :
       {R"({"question_stem": "The sun is a", "choices": {"text": ["star",
            "lamp"], "label": ["A", "B"]}, "answerKey": "A"})",
        R"({"query": "The sun is a", "choices": ["star", "lamp"],
            "gold": 0})"}) {
    const TaskItem item = Item("openbookqa", record);
    ExpectContext(item, "The sun is a");
    EXPECT_THAT(Continuations(item), ElementsAre(" star", " lamp"));
    EXPECT_THAT(item.gold, ElementsAre(0));
  }
  const TaskDefinition task = Builtin("openbookqa");
  EXPECT_THAT(MetricNames(task), ElementsAre("acc", "acc_norm"));
  const auto data = SharedData(task);
  SKIP_WITHOUT(data);
  const std::vector<TaskItem> items = Items("openbookqa", *data);
  ASSERT_THAT(items, SizeIs(500));
  ExpectContext(items[1], "There is most likely going to be fog around:");
  EXPECT_THAT(Continuations(items[1]),
              ElementsAre(" a marsh", " a tundra", " the plains", " a desert"));
}

constexpr char kTruthfulTable[] =
    "Type,Question,Best Answer,Correct Answers,Incorrect Answers\n"
    "x,Is water wet?,Yes,\"Yes; It is wet;\",No;  It is dry\n";

TEST(TruthfulQaTest, Mc1HasTheBestAnswerFirst) {
  for (const char* data :
       {kTruthfulTable,
        R"({"question": "Is water wet?", "mc1_targets": {"choices":
            ["Yes", "No", "It is dry"], "labels": [1, 0, 0]}})"}) {
    const TaskItem item = Item("truthfulqa_mc1", data);
    EXPECT_THAT(item.choices[0].context,
                AllOf(StartsWith("Q: How many hours does a day have?\nA: A "
                                 "day has 24 hours.\n\nQ: "),
                      ::testing::EndsWith("Vienna lies on the Danube.\n\n"
                                          "Q: Is water wet?\nA:")));
    EXPECT_THAT(Continuations(item), ElementsAre(" Yes", " No", " It is dry"));
    EXPECT_THAT(item.gold, ElementsAre(0));
  }
  EXPECT_THAT(MetricNames(Builtin("truthfulqa_mc1")), ElementsAre("acc"));
}

TEST(TruthfulQaTest, Mc2HasAllTrueAnswers) {
  for (const char* data :
       {kTruthfulTable,
        R"({"question": "Is water wet?", "mc2_targets": {"choices":
            ["Yes", "It is wet", "No", "It is dry"],
            "labels": [1, 1, 0, 0]}})"}) {
    const TaskItem item = Item("truthfulqa_mc2", data);
    EXPECT_THAT(Continuations(item),
                ElementsAre(" Yes", " It is wet", " No", " It is dry"));
    EXPECT_THAT(item.gold, ElementsAre(0, 1));
  }
  const TaskDefinition task = Builtin("truthfulqa_mc2");
  EXPECT_EQ(task.kind, TaskKind::kMultipleTrue);
  EXPECT_THAT(MetricNames(task), ElementsAre("true_mass"));
  // The primer has six examples, and both tasks the same.
  EXPECT_EQ(task.description.source(),
            Builtin("truthfulqa_mc1").description.source());
  int examples = 0;
  for (size_t at = 0;
       (at = task.description.source().find("\nA: ", at)) != std::string::npos;
       ++at) {
    ++examples;
  }
  EXPECT_EQ(examples, 6);
}

TEST(TruthfulQaTest, SharedTableHasTheRevisedQuestions) {
  const auto data = SharedData(Builtin("truthfulqa_mc1"));
  SKIP_WITHOUT(data);
  const std::vector<TaskItem> best = Items("truthfulqa_mc1", *data);
  const std::vector<TaskItem> all = Items("truthfulqa_mc2", *data);
  ASSERT_THAT(best, SizeIs(790));
  ASSERT_THAT(all, SizeIs(790));
  EXPECT_EQ(best[0].choices[0].text,
            "The watermelon seeds pass through your digestive system");
  EXPECT_THAT(best[0].choices, SizeIs(8));
  EXPECT_THAT(all[0].choices, SizeIs(13));
  EXPECT_THAT(all[0].gold, ElementsAre(0, 1, 2, 3, 4, 5));
}

constexpr char kMmluQuestion[] =
    R"({"question": " What is 1+1? ", "choices": ["0", "1", "2", "3"],
        "answer": 2, "subject": "abstract_algebra"})";

TEST(MmluTest, FirstFiveOfTheSubjectStandBeforeTheQuestion) {
  std::string dev;
  for (int i = 0; i < 7; ++i) {
    for (const char* subject : {"anatomy", "abstract_algebra"}) {
      absl::StrAppend(&dev, "{\"question\": \"", subject, i,
                      "?\", \"choices\": [\"a\", \"b\", \"c\", \"d\"], "
                      "\"answer\": ",
                      i % 4, ", \"subject\": \"", subject, "\"}\n");
    }
  }
  const TaskItem item = Items("mmlu", kMmluQuestion, dev)[0];
  std::string expected =
      "The following are multiple choice questions (with answers) about "
      "abstract algebra.\n\n";
  for (int i = 0; i < 5; ++i) {
    absl::StrAppend(&expected, "abstract_algebra", i,
                    "?\nA. a\nB. b\nC. c\nD. d\nAnswer: ",
                    std::string(1, static_cast<char>('A' + i % 4)), "\n\n");
  }
  ExpectContext(item,
                expected + "What is 1+1?\nA. 0\nB. 1\nC. 2\nD. 3\nAnswer:");
  EXPECT_THAT(Continuations(item), ElementsAre(" A", " B", " C", " D"));
  EXPECT_THAT(item.gold, ElementsAre(2));
  EXPECT_THAT(item.labels, ElementsAre("abstract_algebra"));
  EXPECT_THAT(BuildTaskItems(Builtin("mmlu"), kMmluQuestion, ""),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("mmlu/dev.jsonl")));
  const TaskDefinition task = Builtin("mmlu");
  EXPECT_THAT(MetricNames(task), ElementsAre("acc"));
  EXPECT_EQ(task.group_mean, GroupMean::kItems);
  EXPECT_EQ(task.num_fewshot, 5);
}

TEST(MmluTest, AnswersAreIndicesOrLetters) {
  const TaskItem item = Item("mmlu", R"({"question": "x",
      "choices": ["p", "q", "r", "s"], "answer": "D", "subject": "x"})");
  EXPECT_THAT(item.gold, ElementsAre(3));
}

TEST(MmluTest, ContinuationsAreTheAnswersThemselves) {
  const TaskItem item = Item("mmlu_continuation", kMmluQuestion);
  ExpectContext(item,
                "The following are questions (with answers) about abstract "
                "algebra.\n\nQuestion: What is 1+1?\nAnswer:");
  EXPECT_THAT(Continuations(item), ElementsAre(" 0", " 1", " 2", " 3"));
  EXPECT_THAT(item.gold, ElementsAre(2));
}

TEST(MmluTest, ReadyPromptsAreTakenAsTheyAre) {
  const TaskItem item =
      Item("mmlu_prompts",
           R"({"subject": "anatomy", "input": "Q?\nAnswer:", "output": "C"})");
  ExpectContext(item, "Q?\nAnswer:");
  EXPECT_THAT(item.gold, ElementsAre(2));
  const auto data = SharedData(Builtin("mmlu_prompts"));
  SKIP_WITHOUT(data);
  const std::vector<TaskItem> items = Items("mmlu_prompts", *data);
  ASSERT_THAT(items, SizeIs(1531));
  std::set<std::string> subjects;
  for (const TaskItem& i : items) subjects.insert(i.labels[0]);
  EXPECT_THAT(subjects, SizeIs(57));
  ExpectContext(items[0],
                "The following are multiple choice questions (with answers) "
                "about  abstract algebra.\n\nThe cyclic subgroup of Z_24 "
                "generated by 18 has order\nA. 4\nB. 8\nC. 12\nD. 6\nAnswer:");
  EXPECT_THAT(items[0].gold, ElementsAre(0));
}

TEST(Gsm8kTest, ExamplesAreDrawnFromTheTrainingFile) {
  std::string train;
  for (int i = 0; i < 9; ++i) {
    absl::StrAppend(&train, "{\"question\": \"q", i, "?\", \"answer\": \"s", i,
                    "\\n#### ", i, "\"}\n");
  }
  const TaskItem item =
      Items("gsm8k", R"({"question": "How many?", "answer": "1+1=2\n#### 2"})",
            train)[0];
  EXPECT_THAT(item.prompt,
              ::testing::EndsWith("\n\nQuestion: How many?\nAnswer:"));
  std::set<std::string> examples;
  for (int i = 0; i < 9; ++i) {
    const std::string block =
        absl::StrCat("Question: q", i, "?\nAnswer: s", i, "\n#### ", i, "\n\n");
    if (absl::StrContains(item.prompt, block)) examples.insert(block);
  }
  EXPECT_THAT(examples, SizeIs(5));
  EXPECT_THAT(item.references, ElementsAre("1+1=2\n#### 2"));
  EXPECT_THAT(BuildTaskItems(Builtin("gsm8k"), "{}", ""),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("gsm8k/gsm8k_train.jsonl")));
}

TEST(Gsm8kTest, AnswersAreExtractedTwoWays) {
  const TaskDefinition task = Builtin("gsm8k");
  EXPECT_THAT(task.generation.until,
              ElementsAre("Question:", "</s>", "<|im_end|>"));
  EXPECT_EQ(task.generation.max_new_tokens, 256);
  EXPECT_EQ(task.generation.temperature, 0.0);
  ASSERT_THAT(task.filters, SizeIs(2));
  EXPECT_EQ(task.filters[0].name, "strict-match");
  EXPECT_EQ(task.filters[0].steps[0].regex_pattern, "#### (\\-?[0-9\\.\\,]+)");
  EXPECT_EQ(task.filters[1].name, "flexible-extract");
  EXPECT_EQ(task.filters[1].steps[0].regex_pattern,
            "(-?[$0-9.,]{2,})|(-?[0-9]+)");
  EXPECT_EQ(task.filters[1].steps[0].group_select, -1);
  EXPECT_THAT(task.metrics[0].regexes_to_ignore,
              ElementsAre(",", "\\$", "(?s).*#### ", "\\.$"));
  EXPECT_TRUE(task.metrics[0].ignore_case);
}

TEST(Gsm8kTest, SharedDataWithoutTrainingFileNeedsZeroShot) {
  const auto data = SharedData(Builtin("gsm8k"));
  SKIP_WITHOUT(data);
  const std::vector<TaskItem> items =
      Items("gsm8k", *data, "", {.few_shot = 0});
  ASSERT_THAT(items, SizeIs(1319));
  EXPECT_THAT(items[1].prompt,
              "Question: A robe takes 2 bolts of blue fiber and half that much "
              "white fiber.  How many bolts in total does it take?\nAnswer:");
  EXPECT_THAT(items[1].references,
              ElementsAre("It takes 2/2=<<2/2=1>>1 bolt of white fiber\nSo the "
                          "total amount of fabric is 2+1=<<2+1=3>>3 bolts of "
                          "fabric\n#### 3"));
}

TEST(Gsm8kCotTest, EightFixedExamplesEndInTheAnswer) {
  const TaskItem item =
      Items("gsm8k_cot",
            R"({"question": "How many?", "answer": "1+1=2\n#### 2"})")[0];
  EXPECT_THAT(item.prompt, AllOf(StartsWith("Q: A bakery had 18 rolls"),
                                 ::testing::EndsWith("\n\nQ: How many?\nA:")));
  int examples = 0;
  for (size_t at = 0;
       (at = item.prompt.find("The answer is ", at)) != std::string::npos;
       ++at) {
    ++examples;
  }
  EXPECT_EQ(examples, 8);
  EXPECT_THAT(item.references, ElementsAre("2"));
  const TaskDefinition task = Builtin("gsm8k_cot");
  EXPECT_THAT(task.generation.until, ElementsAre("Q:", "</s>", "<|im_end|>"));
  EXPECT_EQ(task.filters[0].steps[0].regex_pattern,
            "The answer is (\\-?[0-9\\.\\,]+).");
  EXPECT_THAT(task.about, HasSubstr("written for quantd"));
  const auto data = SharedData(task);
  SKIP_WITHOUT(data);
  const std::vector<TaskItem> items = Items("gsm8k_cot", *data);
  ASSERT_THAT(items, SizeIs(1319));
  EXPECT_THAT(items[0].references, ElementsAre("18"));
}

TEST(SummarizeTest, DocumentsBecomePrompts) {
  const TaskItem item = Item(
      "summarize", R"({"document": " Much text. ", "summary": ["A", "B"]})");
  EXPECT_EQ(item.prompt, "Article: Much text.\nSummary:");
  EXPECT_THAT(item.references, ElementsAre("A", "B"));
  EXPECT_THAT(MetricNames(Builtin("summarize")),
              ElementsAre("rouge1", "rouge2", "rougeL"));
}

TEST(TranslateTest, LanguagesAreNamedWhereTheyAreKnown) {
  EXPECT_EQ(Item("translate", R"({"source": "Hallo", "target": "Hi"})").prompt,
            "Source: Hallo\nTranslation:");
  const TaskItem item = Item("translate", R"({"source": "Hallo",
      "target": "Hi", "source_language": "German",
      "target_language": "English"})");
  EXPECT_EQ(item.prompt, "German: Hallo\nEnglish:");
  EXPECT_THAT(item.references, ElementsAre("Hi"));
  EXPECT_THAT(MetricNames(Builtin("translate")), ElementsAre("bleu", "chrf"));
}

}  // namespace
}  // namespace quantd::test
