// Records of a task turned into what a model is asked: the whole prompt with
// its worked examples, the continuations to score, which of them are right.
#ifndef QUANTD_EVALUATORS_TASKS_TASK_ITEM_H_
#define QUANTD_EVALUATORS_TASKS_TASK_ITEM_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "evaluators/tasks/task_definition.h"

namespace quantd {

// One continuation and what stands before it. Blanks and line ends at the end
// of a context stand at the beginning of the continuation instead, as
// lm-evaluation-harness has it, because tokenizers join them to the word that
// follows: a context never ends with one.
struct TaskChoice {
  std::string context;       // "": the model's prefix token alone
  std::string continuation;  // as scored, delimiter included; never empty
  // The choice without delimiter; acc_norm counts its characters, acc_bytes
  // its bytes. Never empty.
  std::string text;
};

struct TaskItem {
  size_t record = 0;                // index into the records of the data
  size_t line = 0;                  // of the data, where the record begins
  std::vector<std::string> labels;  // the record's value of every subset key
  std::string cluster;  // "" when the task names none: independent of others

  // kMultipleChoice and kMultipleTrue: two or more; kGreedyMatch: one.
  std::vector<TaskChoice> choices;
  // Indices of right choices, ascending: one or more. kGreedyMatch: 0.
  std::vector<int> gold;
  // acc_pmi compares with LL(text of the choice | this); "": the prefix token.
  std::string unconditional_context;

  // kGenerate.
  std::string prompt;
  std::vector<std::string> references;  // one or more
};

struct TaskItemOptions {
  // Worked examples instead of the task's own number.
  std::optional<int> few_shot = std::nullopt;
  // At most so many items; 0: all. The choice is random, even over the values
  // of the first subset key, and the same for the same seed; items keep the
  // order of the data. Examples are drawn for all records, so that those of an
  // item do not depend on this number.
  uint64_t max_items = 0;
  // Of both choices; absent: the task's own (1234 unless it says otherwise).
  std::optional<uint64_t> seed = std::nullopt;
};

// The items of `data`, the content of the task's data file, with examples from
// `few_shot_data` ("": none given), in the order of the records.
// InvalidArgument names the line of the record and the template at fault: a
// field that is missing, a right answer that is no choice, an empty choice;
// few-shot examples that are wanted of a task that allows none, or whose file
// is not given, or that are too few. ResourceExhausted: over a limit of
// task_records.h, or items of more than kMaxItemBytes in all.
absl::StatusOr<std::vector<TaskItem>> BuildTaskItems(
    const TaskDefinition& task, absl::string_view data,
    absl::string_view few_shot_data, const TaskItemOptions& options = {});

inline constexpr uint64_t kMaxItemBytes = uint64_t{4} << 30;

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_TASK_ITEM_H_
