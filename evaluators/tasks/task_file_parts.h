// The nested maps of a task file, each read into its part of the definition.
// Only task_definition.cc includes this file.
#ifndef QUANTD_EVALUATORS_TASKS_TASK_FILE_PARTS_H_
#define QUANTD_EVALUATORS_TASKS_TASK_FILE_PARTS_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "evaluators/tasks/task_definition.h"
#include "evaluators/tasks/yaml_text.h"

namespace quantd {

// `path` is the key that a part is the value of; it opens the messages, which
// are those of yaml_reader.h.
absl::StatusOr<TaskDataFile> ReadTaskDataFile(const YamlValue& value,
                                              absl::string_view path);
absl::StatusOr<TaskFewShot> ReadTaskFewShot(const YamlValue& value,
                                            absl::string_view path);
// `generation.until` is empty if the file does not say.
absl::StatusOr<TaskGeneration> ReadTaskGeneration(const YamlValue& value,
                                                  absl::string_view path);
absl::StatusOr<std::vector<AnswerFilter>> ReadAnswerFilters(
    const YamlValue& value, absl::string_view path);
absl::StatusOr<std::vector<TaskMetric>> ReadTaskMetrics(const YamlValue& value,
                                                        absl::string_view path,
                                                        TaskKind kind);

// What a task of `kind` has without a metric_list.
std::vector<TaskMetric> DefaultTaskMetrics(TaskKind kind);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_TASK_FILE_PARTS_H_
