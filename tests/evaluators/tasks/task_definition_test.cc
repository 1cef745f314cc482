#include "evaluators/tasks/task_definition.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/sha256.h"
#include "evaluators/tasks/template_functions.h"
#include "evaluators/tasks/yaml_text.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// A file that is complete, and `more`.
std::string Choice(absl::string_view more = "") {
  return absl::StrCat(
      "task: t\noutput_type: multiple_choice\ndoc_to_text: q\n"
      "doc_to_choice: c\ndoc_to_target: a\n",
      more);
}

std::string Generate(absl::string_view more = "") {
  return absl::StrCat(
      "task: t\noutput_type: generate_until\ndoc_to_text: q\n"
      "doc_to_target: a\n",
      more);
}

void ExpectFault(const std::string& yaml, absl::string_view fault) {
  EXPECT_THAT(ParseTaskFile(yaml), StatusIs(kInvalid, HasSubstr(fault)))
      << yaml;
}

TEST(TaskDefinitionTest, DefaultsAreThoseOfTheCommonHarness) {
  const std::string yaml = Choice();
  ASSERT_OK_AND_ASSIGN(const TaskDefinition task, ParseTaskFile(yaml));
  EXPECT_EQ(task.name, "t");
  EXPECT_EQ(task.kind, TaskKind::kMultipleChoice);
  EXPECT_EQ(task.digest, Sha256Hex(yaml));
  EXPECT_EQ(task.target_delimiter, " ");
  EXPECT_EQ(task.fewshot_delimiter, "\n\n");
  EXPECT_EQ(task.num_fewshot, std::nullopt);
  EXPECT_EQ(task.few_shot.seed, 1234u);
  EXPECT_EQ(task.few_shot.sampler, TaskFewShot::Sampler::kRandom);
  EXPECT_TRUE(task.choices_are_a_list);
  EXPECT_FALSE(task.few_shot_data.has_value());
  EXPECT_FALSE(task.cluster.has_value());
  ASSERT_THAT(task.metrics, SizeIs(2));
  EXPECT_EQ(task.metrics[0].name, "acc");
  EXPECT_EQ(task.metrics[1].name, "acc_norm");
  EXPECT_THAT(task.notes, IsEmpty());
}

TEST(TaskDefinitionTest, EveryKeyIsRead) {
  ASSERT_OK_AND_ASSIGN(const TaskDefinition task, ParseTaskFile(R"(
task: my_task-1.0
title: Mine
citation: Me
about: Tells things
metadata: {version: 2.0, anything: [1, 2]}
output_type: multiple_choice
data: {file: mine/*.jsonl, format: [json, csv]}
few_shot_data: {file: mine_train.csv, format: csv}
description: "About {{subject}}.\n\n"
doc_to_text: "{{q}}"
doc_to_choice: [no, "{{ other }}"]
doc_to_target: 1
target_delimiter: ""
unconditional_context: "Answer:"
num_fewshot: 3
fewshot_config: {sampler: first_n, seed: 7, same_field: subject}
fewshot_delimiter: "\n"
metric_list:
  - metric: acc_mutual_info
    aggregation: mean
    higher_is_better: true
  - {metric: brier_score, aggregation: brier_score, higher_is_better: false}
repeats: 1
subsets: [subject, year]
group_mean: subsets
cluster: passage
)"));
  EXPECT_EQ(task.title, "Mine");
  EXPECT_EQ(task.citation, "Me");
  EXPECT_EQ(task.about, "Tells things");
  EXPECT_EQ(task.version, "2.0");
  EXPECT_EQ(task.data.file, "mine/*.jsonl");
  EXPECT_THAT(task.data.formats,
              ElementsAre(RecordFormat::kJson, RecordFormat::kCsv));
  EXPECT_EQ(task.few_shot_data->file, "mine_train.csv");
  EXPECT_EQ(task.description.source(), "About {{subject}}.\n\n");
  // YAML 1.1 readers take these for booleans.
  ASSERT_THAT(task.doc_to_choice, SizeIs(2));
  EXPECT_EQ(task.doc_to_choice[0].source(), "no");
  EXPECT_FALSE(task.choices_are_a_list);
  EXPECT_EQ(task.doc_to_target.source(), "1");
  EXPECT_EQ(task.target_delimiter, "");
  EXPECT_EQ(task.unconditional_context.source(), "Answer:");
  EXPECT_EQ(task.num_fewshot, 3);
  EXPECT_EQ(task.few_shot.sampler, TaskFewShot::Sampler::kFirstN);
  EXPECT_EQ(task.few_shot.seed, 7u);
  EXPECT_EQ(task.few_shot.same_field, "subject");
  EXPECT_EQ(task.fewshot_delimiter, "\n");
  EXPECT_EQ(task.metrics[0].name, "acc_pmi");
  EXPECT_EQ(task.metrics[1].name, "brier_score");
  EXPECT_THAT(task.subsets, ElementsAre("subject", "year"));
  EXPECT_EQ(task.group_mean, GroupMean::kSubsets);
  EXPECT_EQ(task.cluster->source(), "passage");
}

TEST(TaskDefinitionTest, MetricsOfClassesAreRead) {
  ASSERT_OK_AND_ASSIGN(
      const TaskDefinition task,
      ParseTaskFile(Choice("metric_list:\n"
                           "  - {metric: f1, aggregation: f1}\n"
                           "  - {metric: mcc, aggregation: matthews_corrcoef, "
                           "higher_is_better: true}\n")));
  EXPECT_EQ(task.metrics[0].f1_average, F1Average::kByChoices);
  EXPECT_EQ(task.metrics[1].name, "mcc");
  ASSERT_OK_AND_ASSIGN(
      const TaskDefinition macro,
      ParseTaskFile(Choice("metric_list: [{metric: f1, average: macro}]\n")));
  EXPECT_EQ(macro.metrics[0].f1_average, F1Average::kMacro);
  ASSERT_OK_AND_ASSIGN(
      const TaskDefinition binary,
      ParseTaskFile(Choice("metric_list: [{metric: f1, average: binary}]\n")));
  EXPECT_EQ(binary.metrics[0].f1_average, F1Average::kBinary);
  ExpectFault(Choice("metric_list: [{metric: f1, average: micro}]\n"),
              "average: expected binary or macro, got \"micro\"");
  ExpectFault(Choice("metric_list: [{metric: mcc, average: macro}]\n"),
              "unknown key \"average\"");
}

TEST(TaskDefinitionTest, GenerationFiltersAndMetricsAreRead) {
  ASSERT_OK_AND_ASSIGN(const TaskDefinition task, ParseTaskFile(Generate(R"(
generation_kwargs:
  until: ["\n", Stop]
  max_gen_toks: 32
  do_sample: true
  temperature: 0.5
  top_k: 40
  top_p: 0.9
filter_list:
  - name: strict
    filter:
      - {function: regex, regex_pattern: '#### (\d+)', group_select: -1, fallback: none}
      - function: remove_whitespace
      - function: take_first
  - name: whole
    filter:
      - function: lowercase
      - function: uppercase
metric_list:
  - metric: exact_match
    ignore_case: true
    ignore_punctuation: true
    ignore_numbers: true
    regexes_to_ignore: [",", '\$']
  - metric: rougeL
)")));
  EXPECT_THAT(task.generation.until, ElementsAre("\n", "Stop"));
  EXPECT_EQ(task.generation.max_new_tokens, 32);
  EXPECT_EQ(task.generation.temperature, 0.5);
  EXPECT_EQ(task.generation.top_k, 40);
  EXPECT_EQ(task.generation.top_p, 0.9);
  ASSERT_THAT(task.filters, SizeIs(2));
  EXPECT_EQ(task.filters[0].name, "strict");
  ASSERT_THAT(task.filters[0].steps, SizeIs(3));
  EXPECT_EQ(task.filters[0].steps[0].function,
            AnswerFilterStep::Function::kRegex);
  EXPECT_EQ(task.filters[0].steps[0].regex_pattern, "#### (\\d+)");
  EXPECT_EQ(task.filters[0].steps[0].group_select, -1);
  EXPECT_EQ(task.filters[0].steps[0].fallback, "none");
  EXPECT_EQ(task.filters[1].steps[1].function,
            AnswerFilterStep::Function::kUppercase);
  EXPECT_TRUE(task.metrics[0].ignore_case);
  EXPECT_TRUE(task.metrics[0].ignore_punctuation);
  EXPECT_TRUE(task.metrics[0].ignore_numbers);
  EXPECT_THAT(task.metrics[0].regexes_to_ignore, ElementsAre(",", "\\$"));
  EXPECT_EQ(task.metrics[1].name, "rougeL");
}

TEST(TaskDefinitionTest, GenerationDefaultsStopAtTheNextExample) {
  ASSERT_OK_AND_ASSIGN(const TaskDefinition task, ParseTaskFile(Generate()));
  EXPECT_THAT(task.generation.until, ElementsAre("\n\n"));
  EXPECT_EQ(task.generation.max_new_tokens, 256);
  EXPECT_EQ(task.generation.temperature, 0.0);
  ASSERT_THAT(task.filters, SizeIs(1));
  EXPECT_THAT(task.filters[0].steps, IsEmpty());
  EXPECT_EQ(task.metrics[0].name, "exact_match");
  // do_sample decides over the temperature.
  ASSERT_OK_AND_ASSIGN(
      const TaskDefinition greedy,
      ParseTaskFile(Generate(
          "generation_kwargs: {do_sample: false, temperature: 0.7}\n")));
  EXPECT_EQ(greedy.generation.temperature, 0.0);
  ASSERT_OK_AND_ASSIGN(
      const TaskDefinition beams,
      ParseTaskFile(Generate(
          "generation_kwargs: {num_beams: 4, length_penalty: 0.5}\n")));
  EXPECT_EQ(beams.generation.beams, 4);
  EXPECT_EQ(beams.generation.length_penalty, 0.5);
  EXPECT_EQ(beams.generation.beam_groups, 1);
  ASSERT_OK_AND_ASSIGN(
      const TaskDefinition diverse,
      ParseTaskFile(Generate("generation_kwargs: {num_beams: 4, "
                             "num_beam_groups: 2, diversity_penalty: 0.7}\n")));
  EXPECT_EQ(diverse.generation.beam_groups, 2);
  EXPECT_EQ(diverse.generation.beam_diversity, 0.7);
}

TEST(TaskDefinitionTest, HubKeysAreNotedAndNullMeansAbsent) {
  ASSERT_OK_AND_ASSIGN(
      const TaskDefinition task,
      ParseTaskFile(Choice("dataset_path: super_glue\ntest_split: null\n"
                           "validation_split: validation\ntag: [x]\n"
                           "num_fewshot: ~\n")));
  ASSERT_THAT(task.notes, SizeIs(1));
  EXPECT_THAT(task.notes[0],
              HasSubstr("dataset_path, validation_split, tag: say where"));
  EXPECT_EQ(task.num_fewshot, std::nullopt);
}

TEST(TaskDefinitionTest, KeysThatChangeNoScoreAreNoted) {
  ASSERT_OK_AND_ASSIGN(
      const TaskDefinition task,
      ParseTaskFile(
          Choice("should_decontaminate: true\n"
                 "doc_to_decontamination_query: \"{{ q }} {{ c }}\"\n"
                 "task_alias: T\ngroup_alias: G\n"
                 "group: [x]\nmultiple_inputs: true\n"
                 "dataset_kwargs: {trust_remote_code: true}\n"
                 "trust_remote_code: true\nunsafe_code: false\n"
                 "repeats: 1\nmetadata: [{version: 1.0}, {x: 2}]\n")));
  ASSERT_THAT(task.notes, SizeIs(2));
  EXPECT_THAT(task.notes[0], AllOf(HasSubstr("dataset_kwargs, group: say"),
                                   HasSubstr("no effect")));
  EXPECT_EQ(task.notes[1],
            "group_alias, task_alias, multiple_inputs, should_decontaminate, "
            "doc_to_decontamination_query, trust_remote_code, unsafe_code: no "
            "effect");
  EXPECT_EQ(task.version, "1.0");
  ExpectFault(Choice("metadata: [1]\n"), "metadata: expected a map");
  ExpectFault(Choice("metadata: [[{version: 1}]]\n"), "expected a map");
}

TEST(TaskDefinitionTest, UnknownKeysAreRefusedWithAllKnown) {
  const auto refused = ParseTaskFile(Choice("doc_to_txt: q\n"));
  EXPECT_THAT(refused,
              StatusIs(kInvalid, HasSubstr("line 6: unknown key "
                                           "\"doc_to_txt\"; known: ")));
  for (const TaskFileKey& key : TaskFileKeys()) {
    EXPECT_THAT(std::string(refused.status().message()),
                HasSubstr(std::string(key.name)));
    EXPECT_FALSE(key.meaning.empty());
  }
  ExpectFault(Choice("gen_prefix: So\n"), "line 6: gen_prefix: not supported");
  ExpectFault(Choice("process_results: x\n"), "choose a metric");
  ExpectFault(Choice("use_prompt: x\n"), "write the prompt here");
  ExpectFault(Choice("include: other.yaml\n"), "a task is one file");
  ExpectFault(Choice("process_docs: x\n"), "a task has no code");
  ExpectFault(Choice("data: {path: x}\n"),
              "line 6: data: unknown key \"path\"; known: file, format");
  ExpectFault(Choice("fewshot_config: {split: x}\n"), "unknown key \"split\"");
  ExpectFault(Choice("metric_list: [{metric: acc, ignore_case: true}]\n"),
              "unknown key \"ignore_case\"");
  ExpectFault(Generate("generation_kwargs: {max_tokens: 5}\n"),
              "unknown key \"max_tokens\"");
  ExpectFault(Generate("filter_list: [{name: x, filters: []}]\n"),
              "unknown key \"filters\"");
  ExpectFault(Generate("filter_list: [{name: x, filter: [{function: "
                       "take_first, k: 1}]}]\n"),
              "unknown key \"k\"; known: function");
}

TEST(TaskDefinitionTest, WrongValuesNameLineAndKey) {
  const std::pair<const char*, const char*> cases[] = {
      {"num_fewshot: five\n",
       "line 6: num_fewshot: expected an integer in [0, "
       "1000], got \"five\""},
      {"num_fewshot: \"5\"\n", "num_fewshot: expected an integer"},
      {"num_fewshot: -1\n", "num_fewshot: expected an integer"},
      {"num_fewshot: [1]\n", "got a list"},
      {"title: [a]\n", "line 6: title: expected a text, got a list"},
      {"metadata: 1\n", "metadata: expected a map"},
      {"data: file.jsonl\n", "data: expected a map"},
      {"data: {file: ../x}\n", "expected a path below the data folder"},
      {"data: {file: /etc/x}\n", "expected a path below the data folder"},
      {"data: {file: a*/x}\n", "expected a path below the data folder"},
      {"data: {format: parquet}\n", "unknown format \"parquet\"; known: json"},
      {"data: {format: []}\n", "data.format: an empty list"},
      {"description: \"{{ a\"\n",
       "line 6: description: template: character 1: {{ is not closed"},
      {"fewshot_config: {sampler: balanced}\n",
       "fewshot_config.sampler: unknown sampler \"balanced\""},
      {"fewshot_config: {seed: x}\n", "fewshot_config.seed: expected"},
      {"fewshot_config: {samples: []}\n", "fewshot_config.samples: an empty"},
      {"fewshot_config: {samples: [1]}\n", "fewshot_config.samples: expected"},
      {"fewshot_config: {samples: [{q: 1}], same_field: q}\n",
       "no meaning beside samples"},
      {"fewshot_config: {samples: [{q: 1}]}\nnum_fewshot: 2\n",
       "line 7: num_fewshot: more than the 1 samples"},
      {"fewshot_config: {samples: [{q: 1}]}\nfew_shot_data: {}\n",
       "few_shot_data: has no meaning beside the samples"},
      {"metric_list: []\n", "metric_list: an empty list"},
      {"metric_list: [{}]\n", "an entry without the key metric"},
      {"metric_list: [{metric: bleu}]\n",
       "unknown metric \"bleu\"; those of multiple_choice: acc, acc_norm"},
      {"metric_list: [{metric: acc}, {metric: acc}]\n", "acc appears twice"},
      {"metric_list: [{metric: acc, aggregation: median}]\n",
       "acc is aggregated as mean, not as \"median\""},
      {"metric_list: [{metric: acc, higher_is_better: false}]\n",
       "of acc the higher is the better"},
      {"metric_list: [{metric: acc, higher_is_better: 1}]\n",
       "expected true or false"},
      {"generation_kwargs: {}\n",
       "generation_kwargs: has no meaning with output_type multiple_choice"},
      {"filter_list: []\n", "filter_list: has no meaning"},
      {"repeats: 2\n", "repeats: expected an integer in [1, 1]"},
      {"subsets: [a, a]\n", "subsets: \"a\" appears twice"},
      {"subsets: [[a]]\n", "subsets: expected a text"},
      {"group_mean: subsets\n", "subsets, but the key subsets names none"},
      {"group_mean: median\n", "expected items or subsets"},
      {"unconditional_context: x\n", "no meaning without the metric acc_pmi"},
      {"doc_to_text: q\n", "line 6: key \"doc_to_text\" appears twice"},
  };
  for (const auto& [more, fault] : cases) ExpectFault(Choice(more), fault);
  const std::pair<const char*, const char*> generation[] = {
      {"generation_kwargs: {until: ['']}\n", "an empty text stops at once"},
      {"generation_kwargs: {max_gen_toks: 0}\n", "max_gen_toks: expected"},
      {"generation_kwargs: {temperature: hot}\n", "temperature: expected"},
      {"generation_kwargs: {top_p: nan}\n", "top_p: expected a number"},
      {"generation_kwargs: {do_sample: true, temperature: 0}\n",
       "do_sample at temperature 0"},
      {"generation_kwargs: {num_beams: 2, temperature: 1}\n",
       "num_beams and sampling exclude each other"},
      {"generation_kwargs: {num_beams: 4, num_beam_groups: 3, "
       "diversity_penalty: 1}\n",
       "num_beam_groups 3 does not divide num_beams 4"},
      {"generation_kwargs: {num_beams: 4, num_beam_groups: 2}\n",
       "have no meaning without each other"},
      {"generation_kwargs: {num_beams: 4, diversity_penalty: 1}\n",
       "have no meaning without each other"},
      {"generation_kwargs: {num_beams: 2, diversity_penalty: -1}\n",
       "diversity_penalty: expected a number in [0, 1000]"},
      {"filter_list: []\n", "filter_list: an empty list"},
      {"filter_list: [{filter: []}]\n", "a filter without a name"},
      {"filter_list: [{name: a, filter: []}, {name: a, filter: []}]\n",
       "filter \"a\" appears twice"},
      {"filter_list: [{name: a, filter: [{function: vote}]}]\n",
       "unknown function \"vote\""},
      {"filter_list: [{name: a, filter: [{function: regex}]}]\n",
       "a regex without regex_pattern"},
      {"filter_list: [{name: a, filter: [{}]}]\n",
       "a step without the key function"},
      {"filter_list: [{name: a, filter: [{function: regex, regex_pattern: "
       "'('}]}]\n",
       "pattern \"(\": "},
      {"metric_list: [{metric: exact_match, regexes_to_ignore: ['[']}]\n",
       "regexes_to_ignore: pattern \"[\""},
      {"doc_to_choice: x\n",
       "doc_to_choice: has no meaning with output_type generate_until"},
  };
  for (const auto& [more, fault] : generation) {
    ExpectFault(Generate(more), fault);
  }
}

TEST(TaskDefinitionTest, IncompleteFilesAreRefused) {
  ExpectFault("task: t\n", "no key output_type");
  ExpectFault("output_type: loglikelihood\n", "no key task");
  ExpectFault("task: t\noutput_type: loglikelihood\ndoc_to_text: ~\n",
              "no key doc_to_text");
  ExpectFault(
      "task: t\noutput_type: multiple_true\ndoc_to_text: q\n"
      "doc_to_target: a\n",
      "no key doc_to_choice");
  ExpectFault(
      "task: t\noutput_type: multiple_choice\ndoc_to_text: q\n"
      "doc_to_choice: [a]\n",
      "doc_to_choice: expected two choices or more");
  ExpectFault("task: t\noutput_type: rolling\n",
              "line 2: output_type: unknown value \"rolling\"; known: "
              "multiple_choice, loglikelihood");
  ExpectFault("task: a b\n", "task: expected letters, digits");
  ExpectFault("- 1\n", "task file: expected a map, got a list");
}

TEST(TaskDefinitionTest, MetricsOfEveryKind) {
  EXPECT_THAT(KnownTaskMetrics(TaskKind::kMultipleChoice),
              ElementsAre("acc", "acc_norm", "acc_bytes", "acc_token",
                          "acc_pmi", "brier_score", "f1", "mcc"));
  EXPECT_THAT(KnownTaskMetrics(TaskKind::kGreedyMatch),
              ElementsAre("acc", "perplexity"));
  EXPECT_THAT(KnownTaskMetrics(TaskKind::kMultipleTrue),
              ElementsAre("true_mass"));
  EXPECT_EQ(TaskKindName(TaskKind::kGenerate), "generate_until");
}

TEST(YamlTextTest, FaultsNameTheLine) {
  const std::pair<std::string, const char*> cases[] = {
      {"a: [1\nb: 2\n", "line "},
      {"a: 1\nb: !function x.y\n",
       "line 2: tag \"!function\" is not supported"},
      {"a: 1\n---\nb: 2\n", "expected one YAML document, got several"},
      {"", "expected a YAML document, got none"},
      {"a: 1\n[b]: 2\n", "line 2: a key that is not a text"},
      {"a: \xFF\n", "line 1: not UTF-8"},
      {std::string("a: \0", 4), "NUL"},
      {"a: *b\n", "line 1: "},
      // The library's own loader does not return from this.
      {"!xt,w", "line 1: "},
      {"a: &x 1\nb: *x\n", "line 2: aliases are not supported"},
      {"a: &b [*b]\n", "line 1: aliases are not supported"},
      {std::string(300'000, ' '), "larger than 262144 bytes"},
      {std::string(5'000, '['), "line "},
      {std::string(5'000, '{'), "line "},
  };
  for (const auto& [yaml, fault] : cases) {
    EXPECT_THAT(ParseYaml(yaml), StatusIs(kInvalid, HasSubstr(fault)))
        << yaml.substr(0, 100);
  }
  std::string many = "a: [";
  for (int i = 0; i < 21'000; ++i) many += "x,";
  EXPECT_THAT(ParseYaml(many + "]"),
              StatusIs(kInvalid, HasSubstr("more than 20000 values")));
  many.clear();
  for (int i = 0; i < 1'001; ++i) absl::StrAppend(&many, "k", i, ": 1\n");
  EXPECT_THAT(ParseYaml(many),
              StatusIs(kInvalid, HasSubstr("a map of more than 1000 keys")));
}

TEST(YamlTextTest, ScalarsAreTypedUnlessQuoted) {
  ASSERT_OK_AND_ASSIGN(const YamlValue value, ParseYaml(R"(
i: -3
f: 2.5
b: true
s: "3"
w: no
n: ~
l: [1, [x]]
block: |
  one
  two
)"));
  EXPECT_EQ(YamlToJson(value),
            nlohmann::json({{"i", -3},
                            {"f", 2.5},
                            {"b", true},
                            {"s", "3"},
                            {"w", "no"},
                            {"n", nullptr},
                            {"l", {1, nlohmann::json::array({"x"})}},
                            {"block", "one\ntwo\n"}}));
  EXPECT_EQ(value.Find("s")->line, 5);
  EXPECT_EQ(value.Find("x"), nullptr);
}

TEST(TaskManualTest, NamesEveryKeyMetricFormatFilterAndMethod) {
  ASSERT_OK_AND_ASSIGN(const std::string manual,
                       ReadFile(ProjectPath("docs/tasks.md")));
  for (const TaskFileKey& key : TaskFileKeys()) {
    EXPECT_THAT(manual, HasSubstr(absl::StrCat("`", key.name, "`")));
  }
  for (const TaskKind kind : {TaskKind::kMultipleChoice, TaskKind::kGreedyMatch,
                              TaskKind::kMultipleTrue, TaskKind::kGenerate}) {
    EXPECT_THAT(manual, HasSubstr(absl::StrCat("`", TaskKindName(kind), "`")));
    for (const absl::string_view metric : KnownTaskMetrics(kind)) {
      EXPECT_THAT(manual, HasSubstr(absl::StrCat("`", metric, "`")));
    }
  }
  for (const absl::string_view format :
       absl::StrSplit(RecordFormatNames(), ", ")) {
    EXPECT_THAT(manual, HasSubstr(absl::StrCat("| `", format, "` |")));
  }
  const size_t filters = manual.find("* filters:");
  const size_t methods = manual.find("* methods:");
  ASSERT_LT(filters, methods);
  for (const absl::string_view name :
       absl::StrSplit(TemplateFunctionNames(FunctionUse::kFilter), ", ")) {
    EXPECT_LT(manual.find(std::string(name), filters), methods) << name;
  }
  const size_t statements = manual.find("* statements:");
  for (const absl::string_view name :
       absl::StrSplit(TemplateFunctionNames(FunctionUse::kMethod), ", ")) {
    EXPECT_LT(manual.find(std::string(name), methods), statements) << name;
  }
}

}  // namespace
}  // namespace quantd::test
