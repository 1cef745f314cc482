// The operators of templates, with Python's meaning.
#ifndef QUANTD_EVALUATORS_TASKS_TEMPLATE_ARITHMETIC_H_
#define QUANTD_EVALUATORS_TASKS_TEMPLATE_ARITHMETIC_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace quantd {

// left op right for + - * / // % and ~. Numbers; + also of two texts or two
// lists, * also of a list and a count; ~ of what prints. InvalidArgument: other
// types, an overflow, division by zero, a list over kMaxTemplateItems.
absl::StatusOr<nlohmann::json> TemplateArithmetic(absl::string_view op,
                                                  const nlohmann::json& left,
                                                  const nlohmann::json& right);

// Whether left op right for == != < <= > >= in and "not in". InvalidArgument
// when the types have no order or cannot contain anything.
absl::StatusOr<bool> TemplateCompare(absl::string_view op,
                                     const nlohmann::json& left,
                                     const nlohmann::json& right);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_TEMPLATE_ARITHMETIC_H_
