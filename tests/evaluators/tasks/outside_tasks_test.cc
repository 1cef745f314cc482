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

TEST(OutsideTasksTest, CommitmentBankWithItsF1) {
  ASSERT_OK_AND_ASSIGN(const TaskDefinition task, ParseTaskFile(R"yaml(
group:
  - super-glue-lm-eval-v1
task: cb
dataset_path: super_glue
dataset_name: cb
output_type: multiple_choice
training_split: train
validation_split: validation
doc_to_text: "{{premise}}\nQuestion: {{hypothesis}}. True, False, or Neither?\nAnswer:"
doc_to_target: label
doc_to_choice: ['True', 'False', 'Neither']
metric_list:
  - metric: acc
  - metric: f1
    average: macro
metadata:
  - version: 1.0
)yaml"));
  ASSERT_THAT(task.metrics, SizeIs(2));
  EXPECT_EQ(task.metrics[1].f1_average, F1Average::kMacro);
  EXPECT_EQ(task.version, "1.0");
  ASSERT_OK_AND_ASSIGN(
      const auto items,
      BuildTaskItems(task,
                     R"({"premise": "Ice floats.", "hypothesis": "Ice sinks",
              "label": 1})",
                     ""));
  EXPECT_EQ(items[0].choices[2].context,
            "Ice floats.\nQuestion: Ice sinks. True, False, or Neither?\n"
            "Answer:");
  EXPECT_EQ(items[0].choices[2].continuation, " Neither");
  EXPECT_THAT(items[0].gold, ElementsAre(1));
}

// A ready prompt whose comma lm-evaluation-harness does not have, and choices
// that begin with a small letter as they are.
TEST(OutsideTasksTest, CopaFromReadyPrompts) {
  ASSERT_OK_AND_ASSIGN(const TaskDefinition task, ParseTaskFile(R"yaml(
task: copa_llm_foundry
output_type: multiple_choice
doc_to_text: "{{ query.replace(', because', ' because').replace(', therefore', ' therefore') }}"
doc_to_choice: "{{ choices }}"
doc_to_target: gold
target_delimiter: "  "
should_decontaminate: true
doc_to_decontamination_query: query
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
)yaml"));
  ASSERT_OK_AND_ASSIGN(const auto items,
                       BuildTaskItems(task,
                                      R"({"query": "The man fell, because",
              "choices": ["the road was icy.", "he sang."], "gold": 0}
             {"query": "It rained, therefore",
              "choices": ["we left.", "the street got wet."], "gold": 1})",
                                      ""));
  ASSERT_THAT(items, SizeIs(2));
  EXPECT_EQ(items[0].choices[0].context, "The man fell because");
  EXPECT_EQ(items[0].choices[0].continuation, "  the road was icy.");
  EXPECT_EQ(items[1].choices[1].context, "It rained therefore");
  EXPECT_EQ(items[1].choices[1].continuation, "  the street got wet.");
  EXPECT_THAT(items[1].gold, ElementsAre(1));
}

TEST(OutsideTasksTest, Wsc273FromReadyContexts) {
  const char* files[] = {
      // As lm-evaluation-harness has it: which context is right, the contexts,
      // and what stands behind each.
      R"yaml(
task: wsc273_llm_foundry
output_type: multiple_choice
doc_to_text: gold
doc_to_choice: context_options
doc_to_target: continuation
metric_list:
  - metric: acc
)yaml",
      // As quantd's winogrande has it.
      R"yaml(
task: wsc273_llm_foundry
output_type: multiple_choice
doc_to_text: context_options
doc_to_choice: continuation
doc_to_target: gold
)yaml"};
  for (const char* yaml : files) {
    ASSERT_OK_AND_ASSIGN(const TaskDefinition task, ParseTaskFile(yaml));
    ASSERT_OK_AND_ASSIGN(const auto items,
                         BuildTaskItems(task, R"({"context_options": [
                "The trophy doesn't fit into the suitcase because the trophy",
                "The trophy doesn't fit into the suitcase because the suitcase"],
                "continuation": "is too small.", "gold": 1})",
                                        ""));
    EXPECT_EQ(items[0].choices[0].context,
              "The trophy doesn't fit into the suitcase because the trophy");
    EXPECT_EQ(items[0].choices[1].context,
              "The trophy doesn't fit into the suitcase because the suitcase");
    EXPECT_EQ(items[0].choices[0].continuation, " is too small.");
    EXPECT_EQ(items[0].choices[1].continuation, " is too small.");
    EXPECT_THAT(items[0].gold, ElementsAre(1));
  }
}

// lm-evaluation-harness's file; what its process_docs does is written into the
// templates: 's behind a possessive, and the article of an option in small
// letters but at the beginning of a sentence.
constexpr char kWsc273[] = R"yaml(
task: wsc273
dataset_path: winograd_wsc
dataset_name: wsc273
output_type: multiple_choice
test_split: test
doc_to_text: label
doc_to_target: "{% set index = pronoun_loc + pronoun | length %}{{text[index:]}}"
doc_to_choice:
  - "{% set owner = pronoun | lower in ['my', 'his', 'her', 'our', 'their'] -%}
    {% set name = options[0] ~ (\"'s\" if owner else '') -%}
    {% set first = name.split()[0] -%}
    {% set opens = text[pronoun_loc - 2] == '.' -%}
    {{ text[:pronoun_loc] }}{{ name.replace(first, first | lower)
    if first in ['A', 'An', 'The', 'She', 'He', 'It', 'They', 'My', 'His', 'Her',
    'Their'] and not opens else name }}"
  - "{% set owner = pronoun | lower in ['my', 'his', 'her', 'our', 'their'] -%}
    {% set name = options[1] ~ (\"'s\" if owner else '') -%}
    {% set first = name.split()[0] -%}
    {% set opens = text[pronoun_loc - 2] == '.' -%}
    {{ text[:pronoun_loc] }}{{ name.replace(first, first | lower)
    if first in ['A', 'An', 'The', 'She', 'He', 'It', 'They', 'My', 'His', 'Her',
    'Their'] and not opens else name }}"
should_decontaminate: true
doc_to_decontamination_query: text
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
)yaml";

TEST(OutsideTasksTest, Wsc273FromHuggingFace) {
  ASSERT_OK_AND_ASSIGN(const TaskDefinition task, ParseTaskFile(kWsc273));
  ASSERT_OK_AND_ASSIGN(
      const auto items,
      BuildTaskItems(
          task,
          R"({"text": "The trophy doesn't fit because it is too large.",
              "pronoun": "it", "pronoun_loc": 31, "quote": "it is too large",
              "options": ["The trophy", "The suitcase"], "label": 0}
             {"text": "An oak tree stands there. It is to the right of a house.",
              "pronoun": "It", "pronoun_loc": 26,
              "options": ["The painting", "The oak tree"], "label": 1}
             {"text": "Ann gave Mary her book.", "pronoun": "her",
              "pronoun_loc": 14, "options": ["Ann", "Mary"], "label": 0})",
          ""));
  ASSERT_THAT(items, SizeIs(3));
  EXPECT_EQ(items[0].choices[0].context,
            "The trophy doesn't fit because the trophy");
  EXPECT_EQ(items[0].choices[1].context,
            "The trophy doesn't fit because the suitcase");
  // The delimiter and the blank of the text.
  EXPECT_EQ(items[0].choices[0].continuation, "  is too large.");
  EXPECT_THAT(items[0].gold, ElementsAre(0));
  EXPECT_EQ(items[1].choices[1].context,
            "An oak tree stands there. The oak tree");
  EXPECT_THAT(items[1].gold, ElementsAre(1));
  EXPECT_EQ(items[2].choices[0].context, "Ann gave Mary Ann's");
  EXPECT_EQ(items[2].choices[1].context, "Ann gave Mary Mary's");
  EXPECT_EQ(items[2].choices[1].continuation, "  book.");
  ASSERT_THAT(task.notes, SizeIs(2));
  EXPECT_EQ(task.notes[1],
            "should_decontaminate, doc_to_decontamination_query: no effect");
}

// WinoGrande's own records, its three functions as templates.
TEST(OutsideTasksTest, WinograndeFromItsOwnFile) {
  ASSERT_OK_AND_ASSIGN(const TaskDefinition task, ParseTaskFile(R"yaml(
task: my_winogrande
output_type: multiple_choice
multiple_inputs: true
doc_to_text: "{{ {'1': 0, '2': 1}[answer] }}"
doc_to_choice: "{% set at = sentence.index('_') %}{{ [sentence[:at] + option1, sentence[:at] + option2] }}"
doc_to_target: "{{ sentence[sentence.index('_') + 1:].strip() }}"
)yaml"));
  ASSERT_OK_AND_ASSIGN(
      const auto items,
      BuildTaskItems(task,
                     R"({"sentence": "Ann paid Bea, so _ was poor.",
              "option1": "Ann", "option2": "Bea", "answer": "1"})",
                     ""));
  EXPECT_EQ(items[0].choices[0].context, "Ann paid Bea, so Ann");
  EXPECT_EQ(items[0].choices[1].context, "Ann paid Bea, so Bea");
  EXPECT_EQ(items[0].choices[1].continuation, " was poor.");
  EXPECT_THAT(items[0].gold, ElementsAre(0));
}

TEST(OutsideTasksTest, SciqAsItIs) {
  ASSERT_OK_AND_ASSIGN(const TaskDefinition task, ParseTaskFile(R"yaml(
task: sciq
dataset_path: allenai/sciq
dataset_name: null
output_type: multiple_choice
training_split: train
validation_split: validation
test_split: test
doc_to_text: "{{support.lstrip()}}\nQuestion: {{question}}\nAnswer:"
doc_to_target: 3
doc_to_choice: "{{[distractor1, distractor2, distractor3, correct_answer]}}"
should_decontaminate: true
doc_to_decontamination_query: "{{support}} {{question}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
  - metric: acc_norm
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
)yaml"));
  ASSERT_OK_AND_ASSIGN(
      const auto items,
      BuildTaskItems(task,
                     R"({"support": " Ice floats.", "question": "What floats?",
              "distractor1": "iron", "distractor2": "lead",
              "distractor3": "gold", "correct_answer": "ice"})",
                     ""));
  EXPECT_EQ(items[0].choices[3].context,
            "Ice floats.\nQuestion: What floats?\nAnswer:");
  EXPECT_EQ(items[0].choices[3].continuation, " ice");
  EXPECT_THAT(items[0].gold, ElementsAre(3));
}

TEST(OutsideTasksTest, StoryClozeFromItsTable) {
  ASSERT_OK_AND_ASSIGN(const TaskDefinition task, ParseTaskFile(R"yaml(
group: storycloze
task: storycloze_2018
dataset_path: story_cloze
dataset_name: 2018
output_type: multiple_choice
test_split: test
data: {format: tsv}
doc_to_text: "{{[input_sentence_1, input_sentence_2, input_sentence_3, input_sentence_4]|join(' ')}}"
doc_to_target: "{{answer_right_ending|int-1}}"
doc_to_choice: "{{[sentence_quiz1, sentence_quiz2]}}"
should_decontaminate: true
doc_to_decontamination_query: "{{[input_sentence_1, input_sentence_2, input_sentence_3, input_sentence_4]|join(' ')}}"
metric_list:
  - metric: acc
)yaml"));
  ASSERT_OK_AND_ASSIGN(
      const auto items,
      BuildTaskItems(
          task,
          "input_sentence_1\tinput_sentence_2\tinput_sentence_3\t"
          "input_sentence_4\tsentence_quiz1\tsentence_quiz2\t"
          "answer_right_ending\n"
          "Ann said \"hi\".\tBea left.\tIt rained.\tShe ran.\tShe got wet."
          "\tShe sang.\t1\n",
          ""));
  EXPECT_EQ(items[0].choices[0].context,
            "Ann said \"hi\". Bea left. It rained. She ran.");
  EXPECT_EQ(items[0].choices[0].continuation, " She got wet.");
  EXPECT_THAT(items[0].gold, ElementsAre(0));
}

// All questions of an article, the last one asked.
TEST(OutsideTasksTest, RaceWithItsEarlierQuestions) {
  ASSERT_OK_AND_ASSIGN(const TaskDefinition task, ParseTaskFile(R"yaml(
task: race
output_type: multiple_choice
doc_to_text: "Article: {{ article }}\n\n{% for p in problems[:-1] %}{%
  set right = p.options['ABCD'.index(p.answer)] %}{%
  if p.question[-6:] == '  _  .' %}{{ p.question[-5:] }}{{ right }}\n{%
  else %}Question: {{ p.question }}\nAnswer: {{ right }}\n{%
  endif %}{% endfor %}{{ problems | map(attribute='question') | last }}"
doc_to_choice: "{{ problems[-1].options }}"
doc_to_target: "{{ {'A': 0, 'B': 1, 'C': 2, 'D': 3}[problems[-1].answer] }}"
)yaml"));
  ASSERT_OK_AND_ASSIGN(
      const auto items,
      BuildTaskItems(task, R"({"article": "Ice floats.", "problems": [
        {"question": "What floats?", "answer": "B",
         "options": ["iron", "ice", "lead", "gold"]},
        {"question": "It is  _  .", "answer": "C",
         "options": ["hot", "red", "cold", "old"]},
        {"question": "Ice is  _  .", "answer": "D",
         "options": ["gas", "air", "steam", "water"]}]})",
                     ""));
  EXPECT_EQ(items[0].choices[0].context,
            "Article: Ice floats.\n\nQuestion: What floats?\nAnswer: ice\n"
            " _  .cold\nIce is  _  .");
  EXPECT_EQ(items[0].choices[3].continuation, " water");
  EXPECT_THAT(items[0].gold, ElementsAre(3));
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
  ASSERT_THAT(blocks, SizeIs(5));
  ASSERT_OK_AND_ASSIGN(const TaskDefinition task, ParseTaskFile(blocks[0]));
  ASSERT_OK_AND_ASSIGN(const auto items, BuildTaskItems(task, blocks[1], ""));
  EXPECT_EQ(items[0].choices[0].context, "Question: What is ice?\nAnswer:");
  EXPECT_EQ(items[0].choices[0].continuation, " gas");
  EXPECT_EQ(items[0].choices[1].continuation, " solid water");
  EXPECT_THAT(items[0].gold, ElementsAre(1));
  ASSERT_OK_AND_ASSIGN(const TaskDefinition copa, ParseTaskFile(blocks[2]));
  ASSERT_OK_AND_ASSIGN(const auto pairs, BuildTaskItems(copa, blocks[3], ""));
  ASSERT_THAT(pairs, SizeIs(2));
  for (const TaskItem& pair : pairs) {
    EXPECT_EQ(pair.choices[0].context, "It rained therefore");
    EXPECT_EQ(pair.choices[0].continuation, "  the street got wet.");
    EXPECT_EQ(pair.choices[1].continuation, "  we left.");
    EXPECT_THAT(pair.gold, ElementsAre(0));
  }
  EXPECT_THAT(ParseTaskFile("task: g\noutput_type: generate_until\n"
                            "doc_to_text: q\ndoc_to_target: a\n" +
                            blocks[4]),
              IsOk());
}

}  // namespace
}  // namespace quantd::test
