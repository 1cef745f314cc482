#include "evaluators/tasks/task_item.h"

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "evaluators/tasks/few_shot.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TaskDefinition Task(const std::string& yaml) {
  auto task = ParseTaskFile(yaml);
  EXPECT_THAT(task, IsOk());
  return task.value_or(TaskDefinition());
}

TaskDefinition ChoiceTask(absl::string_view more = "") {
  return Task(absl::StrCat(
      "task: t\noutput_type: multiple_choice\n"
      "doc_to_text: \"Q: {{q}}\\nA:\"\ndoc_to_choice: c\ndoc_to_target: a\n",
      more));
}

// Records 0 .. count-1 with equal choices.
std::string Numbers(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) {
    absl::StrAppend(&lines, "{\"q\": \"n", i, "\", \"c\": [\"x\", \"y\"], ",
                    "\"a\": ", i % 2, ", \"s\": \"", i % 3, "\"}\n");
  }
  return lines;
}

TEST(TaskItemTest, ChoicesHaveContextContinuationAndText) {
  ASSERT_OK_AND_ASSIGN(
      const auto items,
      BuildTaskItems(ChoiceTask("description: \"About {{s}}.\\n\"\n"
                                "subsets: [s, a]\ncluster: '{{ s }}!'\n"),
                     Numbers(4), ""));
  ASSERT_THAT(items, SizeIs(4));
  const TaskItem& item = items[1];
  EXPECT_EQ(item.record, 1u);
  EXPECT_EQ(item.line, 2u);
  EXPECT_THAT(item.labels, ElementsAre("1", "1"));
  EXPECT_EQ(item.cluster, "1!");
  ASSERT_THAT(item.choices, SizeIs(2));
  EXPECT_EQ(item.choices[0].context, "About 1.\nQ: n1\nA:");
  EXPECT_EQ(item.choices[0].continuation, " x");
  EXPECT_EQ(item.choices[0].text, "x");
  EXPECT_THAT(item.gold, ElementsAre(1));
  EXPECT_EQ(item.unconditional_context, "");
}

TEST(TaskItemTest, TrailingBlanksOfTheContextMoveIntoTheContinuation) {
  const TaskDefinition task = Task(
      "task: t\noutput_type: multiple_choice\ndoc_to_text: \"{{q}}: \\n\"\n"
      "doc_to_choice: [a, b]\ndoc_to_target: 0\ntarget_delimiter: ''\n");
  ASSERT_OK_AND_ASSIGN(const auto items,
                       BuildTaskItems(task, "{\"q\": \"x\"}", ""));
  EXPECT_EQ(items[0].choices[0].context, "x:");
  EXPECT_EQ(items[0].choices[0].continuation, " \na");
  EXPECT_EQ(items[0].choices[0].text, "a");
}

TEST(TaskItemTest, GoldIsAnIndexATextOrAListOfThem) {
  const auto gold = [](const std::string& target, const std::string& record) {
    const TaskDefinition task =
        Task(absl::StrCat("task: t\noutput_type: multiple_choice\n"
                          "doc_to_text: q\ndoc_to_choice: c\ndoc_to_target: ",
                          target, "\n"));
    const auto items = BuildTaskItems(task, record, "");
    return items.ok() ? (*items)[0].gold : std::vector<int>{-1};
  };
  EXPECT_THAT(gold("1", R"({"q": "", "c": ["x", "y"]})"), ElementsAre(1));
  EXPECT_THAT(gold("a", R"({"q": "", "c": ["x", "y"], "a": "y"})"),
              ElementsAre(1));
  EXPECT_THAT(gold("a", R"({"q": "", "c": ["x", "y"], "a": [1, "x", 1]})"),
              ElementsAre(0, 1));
  EXPECT_THAT(gold("\"{{ a }}\"", R"({"q": "", "c": ["x", "y"], "a": true})"),
              ElementsAre(-1));
  EXPECT_THAT(gold("a", R"({"q": "", "c": ["True", "False"], "a": false})"),
              ElementsAre(1));
  // Digits of a template are an index, those of a field are a choice.
  const std::string digits = R"({"q": "", "c": ["0", "2", "1"], "a": "1"})";
  EXPECT_THAT(gold("'{{ a }}'", digits), ElementsAre(1));
  EXPECT_THAT(gold("a", digits), ElementsAre(2));
  EXPECT_THAT(gold("a", R"({"q": "", "c": [0, 2, 1], "a": "2"})"),
              ElementsAre(1));
}

TEST(TaskItemTest, SeveralContextsShareOneEnding) {
  const TaskDefinition task = Task(
      "task: t\noutput_type: multiple_choice\ndoc_to_text: ctx\n"
      "doc_to_choice: end\ndoc_to_target: a\n");
  ASSERT_OK_AND_ASSIGN(
      const auto items,
      BuildTaskItems(task,
                     R"({"ctx": ["A saw", "B saw"], "end": "it.", "a": 1})", "",
                     {.few_shot = 0}));
  ASSERT_THAT(items[0].choices, SizeIs(2));
  EXPECT_EQ(items[0].choices[0].context, "A saw");
  EXPECT_EQ(items[0].choices[1].context, "B saw");
  EXPECT_EQ(items[0].choices[1].continuation, " it.");
  // Pairs of context and ending; and an example uses the right context.
  ASSERT_OK_AND_ASSIGN(
      const auto pairs,
      BuildTaskItems(task,
                     R"({"ctx": ["A", "B"], "end": ["x", "y"], "a": 0}
             {"ctx": ["C", "D"], "end": "z", "a": 1})",
                     "", {.few_shot = 1}));
  EXPECT_EQ(pairs[0].choices[0].context, "D z\n\nA");
  EXPECT_EQ(pairs[0].choices[1].continuation, " y");
  EXPECT_EQ(pairs[1].choices[1].context, "A x\n\nD");
}

TEST(TaskItemTest, AnIndexChoosesAmongContexts) {
  const auto task = [](absl::string_view text) {
    return Task(absl::StrCat(
        "task: t\noutput_type: multiple_choice\ndoc_to_text: ", text,
        "\ndoc_to_choice: \"{{ [a, b] }}\"\ndoc_to_target: end\n"));
  };
  const std::string records =
      R"({"label": 1, "digit": "0", "a": "A saw ", "b": "B saw", "end": "it."}
         {"label": 0, "digit": "1", "a": "C", "b": "D", "end": "7"})";
  ASSERT_OK_AND_ASSIGN(const auto items, BuildTaskItems(task("label"), records,
                                                        "", {.few_shot = 1}));
  ASSERT_THAT(items, SizeIs(2));
  ASSERT_THAT(items[0].choices, SizeIs(2));
  // The example has its right context.
  EXPECT_EQ(items[0].choices[0].context, "C 7\n\nA saw");
  EXPECT_EQ(items[0].choices[0].continuation, "  it.");
  EXPECT_EQ(items[0].choices[1].context, "C 7\n\nB saw");
  EXPECT_EQ(items[0].choices[1].continuation, " it.");
  EXPECT_EQ(items[0].choices[1].text, "it.");
  EXPECT_THAT(items[0].gold, ElementsAre(1));
  EXPECT_EQ(items[1].choices[0].context, "B saw it.\n\nC");
  EXPECT_THAT(items[1].gold, ElementsAre(0));
  const auto gold = [&](absl::string_view text, const std::string& data) {
    const auto built = BuildTaskItems(task(text), data, "");
    EXPECT_THAT(built, IsOk());
    return built.ok() ? (*built)[0].gold : std::vector<int>();
  };
  EXPECT_THAT(gold("1", records), ElementsAre(1));
  EXPECT_THAT(gold("\"{{ 1 - label }}\"", records), ElementsAre(0));
  EXPECT_THAT(gold("\"{{ digit }}\"", records), ElementsAre(0));
  EXPECT_THAT(
      gold("label", R"({"label": true, "a": "x", "b": "y", "end": "z"})"),
      ElementsAre(1));
  // The text of a field is a context, and its end the choice.
  EXPECT_THAT(BuildTaskItems(task("digit"), records, ""),
              StatusIs(kInvalid, HasSubstr("doc_to_target: \"it.\" is none of "
                                           "the choices")));
}

TEST(TaskItemTest, ContextsToChooseFromAreChecked) {
  const auto fault = [](absl::string_view text, absl::string_view target,
                        const std::string& records) {
    return BuildTaskItems(
               Task(absl::StrCat(
                   "task: t\noutput_type: multiple_choice\n"
                   "doc_to_text: ",
                   text, "\ndoc_to_choice: c\ndoc_to_target: ", target, "\n")),
               records, "")
        .status();
  };
  const std::string record = R"({"n": 2, "c": ["a", "b"], "e": ""})";
  EXPECT_THAT(
      fault("n", "end", record),
      StatusIs(kInvalid, HasSubstr("data: line 1: doc_to_text: 2 is the "
                                   "index of a context, of which "
                                   "doc_to_choice has 2")));
  EXPECT_THAT(fault("\"{{ -1 }}\"", "end", record),
              StatusIs(kInvalid, HasSubstr("doc_to_text: -1 is the index")));
  EXPECT_THAT(fault("1", "n", record),
              StatusIs(kInvalid, HasSubstr("doc_to_target: expected the text "
                                           "behind every context")));
  EXPECT_THAT(fault("1", "e", record),
              StatusIs(kInvalid, HasSubstr("doc_to_target: expected")));
  EXPECT_THAT(
      fault("1", "end", R"({"c": ["a"]})"),
      StatusIs(kInvalid, HasSubstr("doc_to_choice: expected 2 to 1000")));
  // A question that is a number, among others that are not.
  EXPECT_THAT(
      fault("\"{{ q }}\"", "a",
            R"({"q": "Why?", "c": ["a", "b"]}
               {"q": "1984", "c": ["a", "b"]})"),
      StatusIs(kInvalid, HasSubstr("data: line 2: doc_to_text: \"1984\" is the "
                                   "index of a context")));
  EXPECT_THAT(
      fault("\"{{ q }}\"", "\"{{ 'a' }}\"",
            R"({"q": "Why?", "c": ["a", "b"]}
                       {"q": "1", "c": ["a", "b"]})"),
      StatusIs(kInvalid, HasSubstr("digits, which are taken for one; in "
                                   "the records before it is a text")));
  EXPECT_THAT(fault("\"{{ q }}\"", "\"{{ 'a' }}\"",
                    R"({"q": "1", "c": ["a", "b"]}
                       {"q": "Why?", "c": ["a", "b"]})"),
              StatusIs(kInvalid, HasSubstr("in the records before it is the "
                                           "index of a context")));
}

TEST(TaskItemTest, GreedyMatchTakesTheContinuationAsItIs) {
  const TaskDefinition task = Task(
      "task: t\noutput_type: loglikelihood\ndoc_to_text: q\n"
      "doc_to_target: \"{{ ' ' ~ w }}\"\n");
  ASSERT_OK_AND_ASSIGN(const auto items,
                       BuildTaskItems(task,
                                      "{\"q\": \"one\", \"w\": \"two\"}\n"
                                      "{\"q\": \"three\", \"w\": \"four\"}\n",
                                      "", {.few_shot = 1}));
  ASSERT_THAT(items[0].choices, SizeIs(1));
  EXPECT_EQ(items[0].choices[0].context, "three four\n\none");
  EXPECT_EQ(items[0].choices[0].continuation, " two");
  EXPECT_THAT(items[0].gold, ElementsAre(0));
}

TEST(TaskItemTest, MultipleTrueTakesAFlagForEachChoice) {
  const TaskDefinition task = Task(
      "task: t\noutput_type: multiple_true\ndoc_to_text: q\n"
      "doc_to_choice: c\ndoc_to_target: l\n");
  ASSERT_OK_AND_ASSIGN(
      const auto items,
      BuildTaskItems(
          task, R"({"q": "x", "c": ["a", "b", "c"], "l": [1, 0, 1]})", ""));
  EXPECT_THAT(items[0].gold, ElementsAre(0, 2));
  for (const char* labels : {"[1, 0]", "[0, 0, 0]", "[1, 2, 0]", "1"}) {
    EXPECT_THAT(
        BuildTaskItems(task,
                       absl::StrCat(R"({"q": "x", "c": ["a", "b", "c"], "l": )",
                                    labels, "}"),
                       ""),
        StatusIs(kInvalid, HasSubstr("data: line 1: doc_to_target: ")));
  }
}

TEST(TaskItemTest, GenerationHasPromptAndReferences) {
  const TaskDefinition task = Task(
      "task: t\noutput_type: generate_until\ndoc_to_text: \"{{q}}:\"\n"
      "doc_to_target: r\n");
  ASSERT_OK_AND_ASSIGN(
      const auto items,
      BuildTaskItems(task,
                     "{\"q\": \"one\", \"r\": [\"1\", \"I\"]}\n"
                     "{\"q\": \"two\", \"r\": 2}\n",
                     "", {.few_shot = 1}));
  EXPECT_EQ(items[0].prompt, "two: 2\n\none:");
  EXPECT_THAT(items[0].references, ElementsAre("1", "I"));
  EXPECT_THAT(items[0].choices, IsEmpty());
  EXPECT_EQ(items[1].prompt, "one: 1\n\ntwo:");
  EXPECT_THAT(items[1].references, ElementsAre("2"));
}

TEST(TaskItemTest, UnconditionalContextIsATemplate) {
  ASSERT_OK_AND_ASSIGN(
      const auto items,
      BuildTaskItems(ChoiceTask("metric_list: [{metric: acc_pmi}]\n"
                                "unconditional_context: \"{{s}} A:\"\n"),
                     Numbers(1), ""));
  EXPECT_EQ(items[0].unconditional_context, "0 A:");
}

TEST(TaskItemTest, FaultsNameLineAndKey) {
  const auto fault = [](const std::string& record,
                        absl::string_view more = "") {
    return BuildTaskItems(ChoiceTask(more), Numbers(1) + record, "").status();
  };
  EXPECT_THAT(
      fault(R"({"c": ["x", "y"], "a": 0})"),
      StatusIs(kInvalid,
               StartsWith("data: line 2: doc_to_text: no field \"q\"")));
  EXPECT_THAT(fault(R"({"q": "", "c": ["x"], "a": 0})"),
              StatusIs(kInvalid, HasSubstr("doc_to_choice: expected 2 to 1000 "
                                           "choices, got 1")));
  EXPECT_THAT(fault(R"({"q": "", "c": "xy", "a": 0})"),
              StatusIs(kInvalid, HasSubstr("doc_to_choice: expected a list")));
  EXPECT_THAT(fault(R"({"q": "", "c": ["x", ""], "a": 0})"),
              StatusIs(kInvalid, HasSubstr("choice 1 is empty")));
  EXPECT_THAT(
      fault(R"({"q": "", "c": ["x", "y"], "a": 2})"),
      StatusIs(kInvalid, HasSubstr("doc_to_target: index 2 of 2 choices")));
  EXPECT_THAT(fault(R"({"q": "", "c": ["x", "y"], "a": -1})"),
              StatusIs(kInvalid, HasSubstr("index -1")));
  EXPECT_THAT(fault(R"({"q": "", "c": ["x", "y"], "a": "z"})"),
              StatusIs(kInvalid, HasSubstr("\"z\" is none of the choices")));
  EXPECT_THAT(fault(R"({"q": "", "c": ["x", "y"], "a": []})"),
              StatusIs(kInvalid, HasSubstr("no right choice")));
  EXPECT_THAT(fault(R"({"q": "", "c": ["x", "y"], "a": 0})", "subsets: s\n"),
              StatusIs(kInvalid, HasSubstr("subsets: no field \"s\"")));
  EXPECT_THAT(
      BuildTaskItems(Task("task: t\noutput_type: multiple_choice\n"
                          "doc_to_text: ctx\ndoc_to_choice: c\n"
                          "doc_to_target: 0\n"),
                     R"({"ctx": ["a", "b", "c"], "c": ["x", "y"]})", ""),
      StatusIs(kInvalid, HasSubstr("2 choices, but doc_to_text gives 3")));
}

TEST(FewShotTest, FirstExamplesSkipTheItemItself) {
  const TaskDefinition task =
      ChoiceTask("num_fewshot: 2\nfewshot_config: {sampler: first_n}\n");
  ASSERT_OK_AND_ASSIGN(const auto items, BuildTaskItems(task, Numbers(4), ""));
  EXPECT_EQ(items[0].choices[0].context,
            "Q: n1\nA: y\n\nQ: n2\nA: x\n\nQ: n0\nA:");
  EXPECT_EQ(items[1].choices[0].context,
            "Q: n0\nA: x\n\nQ: n2\nA: x\n\nQ: n1\nA:");
  EXPECT_EQ(items[3].choices[0].context,
            "Q: n0\nA: x\n\nQ: n1\nA: y\n\nQ: n3\nA:");
}

TEST(FewShotTest, RandomExamplesAreSeededAndNeverTheItem) {
  const TaskDefinition task = ChoiceTask("num_fewshot: 3\n");
  ASSERT_OK_AND_ASSIGN(const auto items, BuildTaskItems(task, Numbers(8), ""));
  ASSERT_OK_AND_ASSIGN(const auto again, BuildTaskItems(task, Numbers(8), ""));
  ASSERT_OK_AND_ASSIGN(const auto other,
                       BuildTaskItems(task, Numbers(8), "", {.seed = 5}));
  std::set<std::string> contexts;
  bool differs = false;
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string& context = items[i].choices[0].context;
    EXPECT_EQ(context, again[i].choices[0].context);
    differs = differs || context != other[i].choices[0].context;
    const std::string question = absl::StrCat("Q: n", i, "\n");
    EXPECT_EQ(context.find(question), context.rfind(question));
    contexts.insert(context.substr(0, context.find(question)));
  }
  EXPECT_TRUE(differs);
  EXPECT_GT(contexts.size(), 4u);  // drawn anew for every item
}

TEST(FewShotTest, GeneratorIsPinned) {
  // Published by the C++ standard: the 10000th output of the default engine.
  std::mt19937_64 engine;
  engine.discard(9999);
  EXPECT_EQ(engine(), UINT64_C(9981545732273789042));
  std::mt19937_64 draws(1234);
  std::mt19937_64 raw(1234);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(DrawBelow(10, draws), raw() % 10);
  std::map<uint64_t, int> counts;
  for (int i = 0; i < 3000; ++i) ++counts[DrawBelow(3, draws)];
  for (const auto& [value, count] : counts) EXPECT_NEAR(count, 1000, 120);
}

TEST(FewShotTest, LimitChangesNoExamples) {
  const TaskDefinition task = ChoiceTask("num_fewshot: 2\nsubsets: s\n");
  ASSERT_OK_AND_ASSIGN(const auto all, BuildTaskItems(task, Numbers(30), ""));
  ASSERT_OK_AND_ASSIGN(const auto some,
                       BuildTaskItems(task, Numbers(30), "", {.max_items = 6}));
  ASSERT_THAT(some, SizeIs(6));
  std::map<std::string, int> subsets;
  for (size_t i = 0; i < some.size(); ++i) {
    EXPECT_EQ(some[i].choices[0].context,
              all[some[i].record].choices[0].context);
    if (i > 0) {
      EXPECT_GT(some[i].record, some[i - 1].record);
    }
    ++subsets[some[i].labels[0]];
  }
  // Ten of each in the data, so two of each in a fifth of it.
  EXPECT_THAT(subsets, ElementsAre(std::pair("0", 2), std::pair("1", 2),
                                   std::pair("2", 2)));
  ASSERT_OK_AND_ASSIGN(
      const auto other,
      BuildTaskItems(task, Numbers(30), "", {.max_items = 6, .seed = 9}));
  std::vector<size_t> a, b;
  for (const TaskItem& item : some) a.push_back(item.record);
  for (const TaskItem& item : other) b.push_back(item.record);
  EXPECT_NE(a, b);
  ASSERT_OK_AND_ASSIGN(const auto more,
                       BuildTaskItems(task, Numbers(4), "", {.max_items = 9}));
  EXPECT_THAT(more, SizeIs(4));
}

TEST(FewShotTest, ExamplesComeFromTheirOwnFileAndSubject) {
  const TaskDefinition task = ChoiceTask(
      "few_shot_data: {file: dev.jsonl}\n"
      "fewshot_config: {sampler: first_n, same_field: s}\n");
  EXPECT_THAT(BuildTaskItems(task, Numbers(2), "", {.few_shot = 1}),
              StatusIs(kInvalid, AllOf(HasSubstr("a file of their own"),
                                       HasSubstr("dev.jsonl"))));
  EXPECT_THAT(BuildTaskItems(task, Numbers(2), ""), IsOk());
  ASSERT_OK_AND_ASSIGN(
      const auto items,
      BuildTaskItems(task, R"({"q": "new", "c": ["x", "y"], "a": 0, "s": "2"})",
                     Numbers(9), {.few_shot = 3}));
  EXPECT_EQ(items[0].choices[0].context,
            "Q: n2\nA: x\n\nQ: n5\nA: y\n\nQ: n8\nA: x\n\nQ: new\nA:");
  EXPECT_THAT(
      BuildTaskItems(task, R"({"q": "new", "c": ["x", "y"], "a": 0, "s": "2"})",
                     Numbers(9), {.few_shot = 4}),
      StatusIs(kInvalid, HasSubstr("needs 4 examples, but there are 3 with s "
                                   "\"2\"")));
  EXPECT_THAT(
      BuildTaskItems(task, Numbers(2), "{\"q\": \"x\"}", {.few_shot = 1}),
      StatusIs(kInvalid, HasSubstr("few-shot data: line 1: "
                                   "fewshot_config.same_field: no field")));
  EXPECT_THAT(BuildTaskItems(task, Numbers(2), "{", {.few_shot = 1}),
              StatusIs(kInvalid, HasSubstr("few-shot data: line 1")));
}

TEST(FewShotTest, FaultyExamplesNameTheirLine) {
  const TaskDefinition task = ChoiceTask("few_shot_data: {}\n");
  EXPECT_THAT(
      BuildTaskItems(task, Numbers(1), "\n{\"q\": \"x\"}", {.few_shot = 1}),
      StatusIs(kInvalid, HasSubstr("few-shot example of line 2: "
                                   "doc_to_choice: ")));
}

TEST(FewShotTest, SamplesOfTheTaskFileAreFixed) {
  const TaskDefinition task = ChoiceTask(
      "num_fewshot: 2\nfewshot_config:\n  samples:\n"
      "    - {q: one, c: [x, y], a: 0}\n    - {q: two, c: [x, y], a: 1}\n");
  ASSERT_OK_AND_ASSIGN(const auto items, BuildTaskItems(task, Numbers(1), ""));
  EXPECT_EQ(items[0].choices[0].context,
            "Q: one\nA: x\n\nQ: two\nA: y\n\nQ: n0\nA:");
  ASSERT_OK_AND_ASSIGN(const auto one,
                       BuildTaskItems(task, Numbers(1), "", {.few_shot = 1}));
  EXPECT_EQ(one[0].choices[0].context, "Q: one\nA: x\n\nQ: n0\nA:");
  EXPECT_THAT(BuildTaskItems(task, Numbers(1), "", {.few_shot = 3}),
              StatusIs(kInvalid, HasSubstr("has 2 examples; 3 were asked")));
  EXPECT_THAT(BuildTaskItems(task, Numbers(1), Numbers(1)),
              StatusIs(kInvalid, HasSubstr("no few-shot data wanted")));
}

TEST(FewShotTest, ATaskMayForbidExamples) {
  const TaskDefinition task = ChoiceTask("num_fewshot: 0\n");
  EXPECT_THAT(BuildTaskItems(task, Numbers(3), "", {.few_shot = 1}),
              StatusIs(kInvalid, HasSubstr("defined without examples")));
  EXPECT_THAT(BuildTaskItems(task, Numbers(3), "", {.few_shot = 0}), IsOk());
  EXPECT_THAT(BuildTaskItems(task, Numbers(3), "", {.few_shot = -1}),
              StatusIs(kInvalid, HasSubstr("negative")));
}

TEST(FewShotTest, EqualRecordsAreNotExamplesOfEachOther) {
  const TaskDefinition task = ChoiceTask("num_fewshot: 1\n");
  const std::string twice = "{\"q\": \"x\", \"c\": [\"x\", \"y\"], \"a\": 0}\n";
  EXPECT_THAT(BuildTaskItems(task, twice + twice, ""),
              StatusIs(kInvalid, HasSubstr("data: line 1: needs 1 examples, "
                                           "but there are 0")));
}

}  // namespace
}  // namespace quantd::test
