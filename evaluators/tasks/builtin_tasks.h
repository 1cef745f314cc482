// The task files that are part of the program: evaluators/task_files/*.yaml.
// They are ordinary task files; a user's own begins best as a copy of one.
#ifndef QUANTD_EVALUATORS_TASKS_BUILTIN_TASKS_H_
#define QUANTD_EVALUATORS_TASKS_BUILTIN_TASKS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "evaluators/tasks/task_definition.h"

namespace quantd {

struct BuiltinTask {
  absl::string_view name;  // "arc_easy": the file's name and its key `task`
  absl::string_view text;
};

// In the order of their names.
absl::Span<const BuiltinTask> BuiltinTasks();

// NotFound lists the known names.
absl::StatusOr<TaskDefinition> FindBuiltinTask(absl::string_view name);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_BUILTIN_TASKS_H_
