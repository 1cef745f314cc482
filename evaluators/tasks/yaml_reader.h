// Typed access to the members of a YAML map, with errors a user can act on:
//
//   line 7: num_fewshot: expected an integer in [0, 1000], got "five"
//
// Confined to one thread; points into the value it was made from.
#ifndef QUANTD_EVALUATORS_TASKS_YAML_READER_H_
#define QUANTD_EVALUATORS_TASKS_YAML_READER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "evaluators/tasks/yaml_text.h"

namespace quantd {

// "line N: <path>: <fault>".
absl::Status YamlFault(const YamlValue& value, absl::string_view path,
                       absl::string_view fault);

// A text; `path` names the value in messages.
absl::StatusOr<std::string> YamlString(const YamlValue& value,
                                       absl::string_view path);
absl::StatusOr<int64_t> YamlInteger(const YamlValue& value,
                                    absl::string_view path, int64_t min,
                                    int64_t max);
absl::StatusOr<double> YamlNumber(const YamlValue& value,
                                  absl::string_view path, double min,
                                  double max);
absl::StatusOr<bool> YamlBool(const YamlValue& value, absl::string_view path);
// A list of texts, or one text as a list of itself.
absl::StatusOr<std::vector<std::string>> YamlStrings(const YamlValue& value,
                                                     absl::string_view path);
// The value must be a list, or a map.
absl::Status NeedYamlList(const YamlValue& value, absl::string_view path);
absl::Status NeedYamlMap(const YamlValue& value, absl::string_view path);

// "line N: <path>: unknown key "x"; known: ..." for a member of a map.
absl::Status UnknownYamlKey(const YamlMember& member, absl::string_view path,
                            absl::string_view known);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_YAML_READER_H_
