// Runs the syntax tree of a template over one record. The rules are in
// task_template.h, the only user.
#ifndef QUANTD_EVALUATORS_TASKS_TEMPLATE_EVALUATION_H_
#define QUANTD_EVALUATORS_TASKS_TEMPLATE_EVALUATION_H_

#include "absl/status/statusor.h"
#include "evaluators/tasks/template_node.h"
#include "nlohmann/json.hpp"

namespace quantd {

// The value of a block that is {% set %}s and one output, the text of any
// other. InvalidArgument: a field that is missing, a wrong type, over a bound.
// REQUIRES: `block` is a kBlock, `record` an object.
absl::StatusOr<nlohmann::json> EvaluateTemplate(const TemplateNode& block,
                                                const nlohmann::json& record);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_TEMPLATE_EVALUATION_H_
