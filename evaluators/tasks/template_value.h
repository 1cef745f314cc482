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

// The name of a member: a text, or an integer as its digits.
absl::StatusOr<std::string> TemplateKey(const nlohmann::json& value);

// The part of `value` that `path` names: fields and places from 0 with dots
// between them ("text.0"), or one place. NotFound when there is none;
// InvalidArgument for a path of more than kMaxTemplatePath bytes, which bounds
// what a part of every item of a list costs.
inline constexpr size_t kMaxTemplatePath = 128;
absl::StatusOr<const nlohmann::json*> TemplatePart(const nlohmann::json& value,
                                                   const nlohmann::json& path);

// Missing fields travel under the code NotFound so that `is defined` and
// `default` can tell them from faults; EvaluateTemplate() turns it into
// InvalidArgument. Says which there are.
absl::Status MissingField(absl::string_view name, const nlohmann::json& object);

// InvalidArgument "expected <expected>, got <got>".
absl::Status WrongType(absl::string_view expected, const nlohmann::json& got);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_TEMPLATE_VALUE_H_
