// Functions of templates that work on texts.
#ifndef QUANTD_EVALUATORS_TASKS_TEMPLATE_TEXT_FUNCTIONS_H_
#define QUANTD_EVALUATORS_TASKS_TEMPLATE_TEXT_FUNCTIONS_H_

#include "evaluators/tasks/template_arguments.h"

namespace quantd::template_functions {

JsonOr Lower(const nlohmann::json& self, Arguments arguments);
JsonOr Upper(const nlohmann::json& self, Arguments arguments);
JsonOr Capital(const nlohmann::json& self, Arguments arguments);
JsonOr Strip(const nlohmann::json& self, Arguments arguments);
JsonOr StripBegin(const nlohmann::json& self, Arguments arguments);
JsonOr StripEnd(const nlohmann::json& self, Arguments arguments);
JsonOr Replace(const nlohmann::json& self, Arguments arguments);
JsonOr RegexReplace(const nlohmann::json& self, Arguments arguments);
JsonOr Split(const nlohmann::json& self, Arguments arguments);
JsonOr RightSplit(const nlohmann::json& self, Arguments arguments);
JsonOr StartsWith(const nlohmann::json& self, Arguments arguments);
JsonOr EndsWith(const nlohmann::json& self, Arguments arguments);
JsonOr String(const nlohmann::json& self, Arguments arguments);
JsonOr TitleFilter(const nlohmann::json& self, Arguments arguments);
JsonOr TitleMethod(const nlohmann::json& self, Arguments arguments);

}  // namespace quantd::template_functions

#endif  // QUANTD_EVALUATORS_TASKS_TEMPLATE_TEXT_FUNCTIONS_H_
