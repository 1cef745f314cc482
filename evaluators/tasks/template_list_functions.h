// Functions of templates that work on lists and objects, and on texts as lists
// of characters.
#ifndef QUANTD_EVALUATORS_TASKS_TEMPLATE_LIST_FUNCTIONS_H_
#define QUANTD_EVALUATORS_TASKS_TEMPLATE_LIST_FUNCTIONS_H_

#include "evaluators/tasks/template_arguments.h"

namespace quantd::template_functions {

// list | join(", "), but ", ".join(list).
JsonOr Join(const nlohmann::json& self, Arguments arguments);

// Of the parts of items that `attribute` names, where it is given.
JsonOr JoinItems(const nlohmann::json& self, Arguments arguments);

// The first place of a character or item, -1 if there is none.
JsonOr Find(const nlohmann::json& self, Arguments arguments);
JsonOr Index(const nlohmann::json& self, Arguments arguments);
JsonOr Count(const nlohmann::json& self, Arguments arguments);
JsonOr Length(const nlohmann::json& self, Arguments arguments);
JsonOr First(const nlohmann::json& self, Arguments arguments);
JsonOr Last(const nlohmann::json& self, Arguments arguments);

// The characters of a text.
JsonOr ToList(const nlohmann::json& self, Arguments arguments);
JsonOr Reverse(const nlohmann::json& self, Arguments arguments);

// Equal items keep their order, also in reverse.
JsonOr Sort(const nlohmann::json& self, Arguments arguments);

// Members in the order of their names: records do not keep that of the file.
JsonOr Items(const nlohmann::json& self, Arguments arguments);
JsonOr Keys(const nlohmann::json& self, Arguments arguments);
JsonOr Values(const nlohmann::json& self, Arguments arguments);

// The items that are true.
JsonOr Select(const nlohmann::json& self, Arguments arguments);
JsonOr Get(const nlohmann::json& self, Arguments arguments);

}  // namespace quantd::template_functions

#endif  // QUANTD_EVALUATORS_TASKS_TEMPLATE_LIST_FUNCTIONS_H_
