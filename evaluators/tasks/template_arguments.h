// What functions of templates take and give: a value, further ones, and a value
// or an error that says what was expected.
#ifndef QUANTD_EVALUATORS_TASKS_TEMPLATE_ARGUMENTS_H_
#define QUANTD_EVALUATORS_TASKS_TEMPLATE_ARGUMENTS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nlohmann/json.hpp"

namespace quantd::template_functions {

using Arguments = absl::Span<const nlohmann::json>;
using JsonOr = absl::StatusOr<nlohmann::json>;

// The error of a result over the limits of template_value.h.
absl::Status TooLarge();

// InvalidArgument when the value is something else.
absl::StatusOr<absl::string_view> Text(const nlohmann::json& value);
absl::StatusOr<const nlohmann::json::array_t*> List(
    const nlohmann::json& value);

// The text as a value, or TooLarge().
JsonOr Bounded(std::string text);

}  // namespace quantd::template_functions

#endif  // QUANTD_EVALUATORS_TASKS_TEMPLATE_ARGUMENTS_H_
