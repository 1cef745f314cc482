#include "evaluators/tasks/builtin_tasks.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "models/json_text.h"

namespace quantd {

absl::StatusOr<TaskDefinition> FindBuiltinTask(absl::string_view name) {
  for (const BuiltinTask& task : BuiltinTasks()) {
    if (task.name == name) return Annotate(ParseTaskFile(task.text), name);
  }
  return absl::NotFoundError(
      absl::StrCat("no task ", Quoted(name), "; known: ",
                   absl::StrJoin(BuiltinTasks(), ", ",
                                 [](std::string* out, const BuiltinTask& task) {
                                   absl::StrAppend(out, task.name);
                                 })));
}

}  // namespace quantd
