// What the templates of a task make of one record, before any examples stand
// in front of it.
#ifndef QUANTD_EVALUATORS_TASKS_RECORD_PROMPT_H_
#define QUANTD_EVALUATORS_TASKS_RECORD_PROMPT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "evaluators/tasks/task_definition.h"
#include "nlohmann/json.hpp"

namespace quantd {

struct RecordPrompt {
  // One, or one for each choice.
  std::vector<std::string> contexts;
  // Choices; kGreedyMatch: the continuation; kGenerate: the references. Without
  // delimiter.
  std::vector<std::string> answers;
  std::vector<int> gold;  // indices into answers, ascending; kGenerate: all
  // doc_to_text gave the index of the right one of the contexts, which
  // doc_to_choice lists; the answers are doc_to_target, once for each.
  bool chooses_context = false;

  // Context and right answer, as an example has them.
  std::string Example(const TaskDefinition& task) const;
  const std::string& ContextOf(size_t answer) const {
    return contexts.size() == 1 ? contexts[0] : contexts[answer];
  }
};

// InvalidArgument opens with the key of the template at fault.
absl::StatusOr<RecordPrompt> MakeRecordPrompt(const TaskDefinition& task,
                                              const nlohmann::json& record);

// What stands between context and answer: the task's delimiter, or nothing
// where the answer brings its own (kGreedyMatch).
std::string AnswerDelimiter(const TaskDefinition& task);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_RECORD_PROMPT_H_
