// Data files of a task in a folder.
#ifndef QUANTD_EVALUATORS_TASKS_TASK_DATA_H_
#define QUANTD_EVALUATORS_TASKS_TASK_DATA_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "evaluators/tasks/task_definition.h"

namespace quantd {

// The files below `folder` that `data.file` names, in the order of their
// names; with a * in its last part, every file that fits. NotFound names the
// path; FailedPrecondition: the task does not say where its data lies.
absl::StatusOr<std::vector<std::string>> FindTaskFiles(
    const TaskDataFile& data, const std::string& folder);

// Their contents as one, with a line end between two files where the first has
// none: what BuildTaskItems() takes. InvalidArgument when there are several and
// their format is not one that can be put together (JSON lines and HellaSwag's
// can, CSV with its header cannot).
absl::StatusOr<std::string> ReadTaskFiles(const TaskDataFile& data,
                                          const std::string& folder);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_TASK_DATA_H_
