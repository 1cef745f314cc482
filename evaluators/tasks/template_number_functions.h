// Functions of templates that work on numbers.
#ifndef QUANTD_EVALUATORS_TASKS_TEMPLATE_NUMBER_FUNCTIONS_H_
#define QUANTD_EVALUATORS_TASKS_TEMPLATE_NUMBER_FUNCTIONS_H_

#include "evaluators/tasks/template_arguments.h"

namespace quantd::template_functions {

// Unlike Jinja's, an error and not 0 where the text is no number: a wrong gold
// answer would go unnoticed.
JsonOr Int(const nlohmann::json& self, Arguments arguments);

// As Int(): an error where the text is no number.
JsonOr Float(const nlohmann::json& self, Arguments arguments);

// Digits behind the point of the decimal number nearest to a binary one, ties
// to even, as Python rounds; integers stay what they are.
JsonOr Round(const nlohmann::json& self, Arguments arguments);

}  // namespace quantd::template_functions

#endif  // QUANTD_EVALUATORS_TASKS_TEMPLATE_NUMBER_FUNCTIONS_H_
