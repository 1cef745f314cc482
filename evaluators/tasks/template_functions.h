// Filters and methods of templates: one table for both, because most are the
// same function under two syntaxes (x | lower, x.lower()).
#ifndef QUANTD_EVALUATORS_TASKS_TEMPLATE_FUNCTIONS_H_
#define QUANTD_EVALUATORS_TASKS_TEMPLATE_FUNCTIONS_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nlohmann/json.hpp"

namespace quantd {

enum class FunctionUse { kFilter, kMethod };

struct TemplateFunction {
  absl::string_view name;
  bool is_filter = false;
  bool is_method = false;
  size_t min_arguments = 0;
  size_t max_arguments = 0;
  // The names of so many.
  absl::string_view parameters[3];
  // Arguments that a call passes over to name a later one are null.
  // InvalidArgument: a value of the wrong type, or a result over the limits.
  absl::StatusOr<nlohmann::json> (*run)(
      const nlohmann::json& self, absl::Span<const nlohmann::json> arguments);
};

// nullptr if there is none.
const TemplateFunction* FindTemplateFunction(absl::string_view name,
                                             FunctionUse use);
// All, separated by ", ".
std::string TemplateFunctionNames(FunctionUse use);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_TEMPLATE_FUNCTIONS_H_
