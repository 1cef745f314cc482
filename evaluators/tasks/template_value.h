// Values of templates are JSON values with the rules of Python.
#ifndef QUANTD_EVALUATORS_TASKS_TEMPLATE_VALUE_H_
#define QUANTD_EVALUATORS_TASKS_TEMPLATE_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace quantd {

// What a template may make: a text's bytes, a list's items.
inline constexpr size_t kMaxTemplateText = size_t{4} << 20;
inline constexpr size_t kMaxTemplateItems = 100'000;

// Python's truth: false, none, zero, "" and empty lists and objects are false.
bool IsTruthy(const nlohmann::json& value);

// Whether a == b; numbers and booleans compare by value.
bool TemplateEqual(const nlohmann::json& a, const nlohmann::json& b);

// `value` as text: numbers and booleans as Python prints them (1.0, True).
// InvalidArgument for none, lists and objects, which no prompt wants.
absl::StatusOr<std::string> TemplateText(const nlohmann::json& value);

// An integer that fits int64, or a boolean as 0 and 1.
absl::StatusOr<int64_t> TemplateInteger(const nlohmann::json& value);

// InvalidArgument "expected <expected>, got <got>".
absl::Status WrongType(absl::string_view expected, const nlohmann::json& got);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_TEMPLATE_VALUE_H_
