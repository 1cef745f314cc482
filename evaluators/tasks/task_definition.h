// A benchmark task, as its YAML file defines it: how a record of the data
// becomes a prompt, which answers are scored, and by what. docs/tasks.md is the
// manual of the files; keys are those of lm-evaluation-harness where it has
// them.
//
//   ASSIGN_OR_RETURN(TaskDefinition task, ParseTaskFile(yaml));
//   ASSIGN_OR_RETURN(auto items, BuildTaskItems(task, data, "", {}));
//
// Immutable after parsing, thread-safe.
#ifndef QUANTD_EVALUATORS_TASKS_TASK_DEFINITION_H_
#define QUANTD_EVALUATORS_TASKS_TASK_DEFINITION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "evaluators/tasks/task_records.h"
#include "evaluators/tasks/task_template.h"
#include "nlohmann/json.hpp"

namespace quantd {

enum class TaskKind {
  kMultipleChoice,  // which continuation is the likeliest
  kGreedyMatch,     // is the continuation the greedy one; its perplexity
  kMultipleTrue,    // share of the probability that true continuations have
  kGenerate,        // text up to a stop, compared with references
};

// The output_type of task files: multiple_choice, loglikelihood,
// multiple_true, generate_until.
absl::string_view TaskKindName(TaskKind kind);

// Which F1 a task reports.
enum class F1Average {
  kByChoices,  // kBinary of items with two choices, else kMacro
  kBinary,     // of the second of two choices
  kMacro,      // the mean over all choices
};

struct TaskMetric {
  std::string name;
  F1Average f1_average = F1Average::kByChoices;  // of f1
  // Of exact_match, applied to answer and reference alike, in this order.
  std::vector<std::string> regexes_to_ignore;  // RE2; matches are removed
  bool ignore_case = false;
  bool ignore_punctuation = false;
  bool ignore_numbers = false;
};

// One step of the way from a generated text to an answer.
struct AnswerFilterStep {
  enum class Function {
    kRegex,             // the match, or the group that took part in it
    kTakeFirst,         // the first of repeated answers; there is only one
    kRemoveWhitespace,  // one blank at the beginning
    kLowercase,
    kUppercase,
  };
  Function function = Function::kTakeFirst;
  // kRegex: an RE2 pattern; which of its matches, from 0, or from -1 backwards;
  // what is the answer where there is none.
  std::string regex_pattern;
  int group_select = 0;
  std::string fallback = "[invalid]";
};

// Every filter gives every text an answer of its own, scored apart
// ("strict-match", "flexible-extract").
struct AnswerFilter {
  std::string name;
  std::vector<AnswerFilterStep> steps;
};

struct TaskGeneration {
  std::vector<std::string> until;  // the text ends before the first of them
  int max_new_tokens = 256;
  double temperature = 0.0;  // 0: greedy
  int top_k = 0;             // 0: all
  double top_p = 1.0;
  int beams = 1;
  int beam_groups = 1;          // more than one: diverse beam search
  double beam_diversity = 0.0;  // price of a token that an earlier group chose
  double length_penalty = 1.0;  // with beams
};

struct TaskFewShot {
  enum class Sampler { kRandom, kFirstN };
  Sampler sampler = Sampler::kRandom;
  uint64_t seed = 1234;
  // Examples written in the task file instead of a data file; records.
  std::vector<nlohmann::json> samples;
  // Examples have the same value of this field as the item; "" = any.
  std::string same_field;
};

// A data file of the task.
struct TaskDataFile {
  // Where it lies below a data folder; a last component with * names several
  // files, which are read as one. Empty: the user says.
  std::string file;
  std::vector<RecordFormat> formats = {RecordFormat::kJson};
};

enum class GroupMean {
  kItems,    // every item counts the same
  kSubsets,  // every value of the first subset key counts the same
};

struct TaskDefinition {
  std::string name;
  std::string title;
  std::string citation;
  std::string about;    // what it asks, and how it differs from published use
  std::string version;  // metadata.version
  std::string digest;   // SHA-256 of the YAML text
  TaskKind kind = TaskKind::kMultipleChoice;

  TaskDataFile data;
  // Where examples come from; without it, from the data itself.
  std::optional<TaskDataFile> few_shot_data;

  TaskTemplate description;    // before everything else, delimiters included
  TaskTemplate doc_to_text;    // context; a list: one context for each choice;
                               // kMultipleChoice: index of the right one of
                               // doc_to_choice, which are contexts then and
                               // doc_to_target what stands behind each
  TaskTemplate doc_to_target;  // gold: index, text of the choice, list of them;
                               // kMultipleTrue: 0 or 1 for each choice;
                               // kGreedyMatch: continuation; kGenerate:
                               // reference or list of them
  // Choices: one template whose value is a list, or a template for each.
  // Empty unless kMultipleChoice or kMultipleTrue.
  std::vector<TaskTemplate> doc_to_choice;
  bool choices_are_a_list = false;  // the former
  TaskTemplate unconditional_context;
  std::optional<TaskTemplate> cluster;
  std::string target_delimiter = " ";
  std::string fewshot_delimiter = "\n\n";

  // Absent: none unless asked for. A file that says 0 allows no others.
  std::optional<int> num_fewshot;
  TaskFewShot few_shot;

  std::vector<TaskMetric> metrics;
  std::vector<AnswerFilter> filters;
  TaskGeneration generation;

  std::vector<std::string> subsets;  // fields of the record
  GroupMean group_mean = GroupMean::kItems;

  // What the file says that has no effect here, for the user to read.
  std::vector<std::string> notes;
};

// A key of task files.
struct TaskFileKey {
  absl::string_view name;
  absl::string_view meaning;
};

// All keys, in the order of docs/tasks.md.
std::vector<TaskFileKey> TaskFileKeys();

// The metrics that a task of `kind` may ask for; the first are those it has
// if it asks for none.
std::vector<absl::string_view> KnownTaskMetrics(TaskKind kind);

// InvalidArgument names line and key: an unknown key (with all known ones), a
// value of the wrong type, a template that does not compile, a key that the
// output_type has no use for.
absl::StatusOr<TaskDefinition> ParseTaskFile(absl::string_view yaml);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_TASK_DEFINITION_H_
