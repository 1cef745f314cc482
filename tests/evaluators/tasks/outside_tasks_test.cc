// Task files as somebody writes them who knows lm-evaluation-harness and
// docs/tasks.md, and nothing of the code.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/file.h"
#include "evaluators/tasks/task_definition.h"
#include "evaluators/tasks/task_item.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// The connective depends on the record, the choices begin with a small letter
// and a blank of their own, so that two blanks are scored.
constexpr char kCopa[] = R"yaml(
tag:
  - super-glue-lm-eval-v1
task: my_copa
dataset_path: super_glue
dataset_name: copa
output_type: multiple_choice
training_split: train
validation_split: validation
doc_to_text: >-
  {{ premise.strip()[:-1] }} {% if question == "cause" %}because{% else
  %}therefore{% endif %}
doc_to_choice:
  - " {{ choice1[0] | lower }}{{ choice1[1:] }}"
  - " {{ choice2[0] | lower }}{{ choice2[1:] }}"
doc_to_target: label
metric_list:
  - metric: acc
metadata:
  version: 1.0
)yaml";

TEST(OutsideTasksTest, CopaWithItsTwoBlanks) {
  ASSERT_OK_AND_ASSIGN(const TaskDefinition task, ParseTaskFile(kCopa));
  ASSERT_OK_AND_ASSIGN(
      const auto items,
      BuildTaskItems(task,
                     R"({"premise": "The man fell. ", "question": "cause",
              "choice1": "The road was icy.", "choice2": "He sang.", "label": 0}
             {"premise": "It rained.", "question": "effect",
              "choice1": "We left.", "choice2": "The street got wet.",
              "label": 1})",
                     "", {.few_shot = 1}));
  ASSERT_THAT(items, SizeIs(2));
  EXPECT_EQ(items[0].choices[0].context,
            "It rained therefore  the street got wet.\n\nThe man fell because");
  EXPECT_EQ(items[0].choices[0].continuation, "  the road was icy.");
  EXPECT_EQ(items[0].choices[1].continuation, "  he sang.");
  EXPECT_THAT(items[0].gold, ElementsAre(0));
  EXPECT_THAT(items[1].gold, ElementsAre(1));
  EXPECT_THAT(task.notes, ElementsAre(HasSubstr("dataset_path")));
}

constexpr char kRte[] = R"yaml(
task: my_rte
dataset_path: glue
dataset_name: rte
output_type: multiple_choice
validation_split: validation
doc_to_text: "{{sentence1}}\nQuestion: {{sentence2}} True or False?\nAnswer:"
doc_to_target: label
doc_to_choice: ["True", "False"]
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
)yaml";

TEST(OutsideTasksTest, RteFromATable) {
  std::string yaml = kRte;
  yaml += "data: {format: csv}\n";
  // A table has no numbers: the label is text, which names no choice.
  ASSERT_OK_AND_ASSIGN(const TaskDefinition table, ParseTaskFile(yaml));
  const std::string csv =
      "sentence1,sentence2,label\n\"Ice, it is said, floats.\",Ice sinks.,1\n";
  EXPECT_THAT(BuildTaskItems(table, csv, ""),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("data: line 2: doc_to_target: \"1\" is none "
                                 "of the choices")));
  const size_t at = yaml.find("doc_to_target: label");
  yaml.replace(at, 20, "doc_to_target: \"{{label}}\"");
  ASSERT_OK_AND_ASSIGN(const TaskDefinition fixed, ParseTaskFile(yaml));
  ASSERT_OK_AND_ASSIGN(const auto items, BuildTaskItems(fixed, csv, ""));
  EXPECT_EQ(items[0].choices[0].context,
            "Ice, it is said, floats.\nQuestion: Ice sinks. True or False?\n"
            "Answer:");
  EXPECT_EQ(items[0].choices[0].continuation, " True");
  EXPECT_THAT(items[0].gold, ElementsAre(1));
}

TEST(OutsideTasksTest, RteFromJsonLines) {
  ASSERT_OK_AND_ASSIGN(const TaskDefinition task, ParseTaskFile(kRte));
  ASSERT_OK_AND_ASSIGN(
      const auto items,
      BuildTaskItems(task,
                     "{\"sentence1\": \"Ice floats.\", \"sentence2\": \"Ice "
                     "sinks.\", \"label\": 1}\n",
                     ""));
  EXPECT_EQ(items[0].choices[1].continuation, " False");
  EXPECT_THAT(items[0].gold, ElementsAre(1));
}

// TruthfulQA as lm-evaluation-harness writes it: a variable in the template.
TEST(OutsideTasksTest, VariableInThePrompt) {
  ASSERT_OK_AND_ASSIGN(const TaskDefinition task, ParseTaskFile(R"yaml(
task: primed
output_type: multiple_choice
num_fewshot: 0
doc_to_text: "{% set prompt_qa = 'Q: What is two and two?\n\
  A: Four.'%}{{prompt_qa + '\n\nQ: ' + question + '\nA:'}}"
doc_to_target: 0
doc_to_choice: "{{mc1_targets.choices}}"
)yaml"));
  ASSERT_OK_AND_ASSIGN(
      const auto items,
      BuildTaskItems(
          task,
          R"({"question": "Why?", "mc1_targets": {"choices": ["a", "b"]}})",
          ""));
  EXPECT_EQ(items[0].choices[0].context,
            "Q: What is two and two?\nA: Four.\n\nQ: Why?\nA:");
}

// The text of the first block of indented lines behind `heading`, and of the
// one behind that.
std::vector<std::string> IndentedBlocks(const std::string& page,
                                        const std::string& heading) {
  std::vector<std::string> blocks;
  bool inside = false;
  for (const absl::string_view line :
       absl::StrSplit(page.substr(page.find(heading)), '\n')) {
    const bool indented = absl::StartsWith(line, "    ");
    if (indented && !inside) blocks.emplace_back();
    if (indented) absl::StrAppend(&blocks.back(), line.substr(4), "\n");
    inside = indented;
  }
  return blocks;
}

TEST(OutsideTasksTest, ExamplesOfTheManualAreTrue) {
  ASSERT_OK_AND_ASSIGN(const std::string page,
                       ReadFile(ProjectPath("docs/tasks.md")));
  const std::vector<std::string> blocks = IndentedBlocks(page, "## An example");
  ASSERT_THAT(blocks, SizeIs(3));
  ASSERT_OK_AND_ASSIGN(const TaskDefinition task, ParseTaskFile(blocks[0]));
  ASSERT_OK_AND_ASSIGN(const auto items, BuildTaskItems(task, blocks[1], ""));
  EXPECT_EQ(items[0].choices[0].context, "Question: What is ice?\nAnswer:");
  EXPECT_EQ(items[0].choices[0].continuation, " gas");
  EXPECT_EQ(items[0].choices[1].continuation, " solid water");
  EXPECT_THAT(items[0].gold, ElementsAre(1));
  EXPECT_THAT(ParseTaskFile("task: g\noutput_type: generate_until\n"
                            "doc_to_text: q\ndoc_to_target: a\n" +
                            blocks[2]),
              IsOk());
}

}  // namespace
}  // namespace quantd::test
