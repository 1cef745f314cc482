#include "evaluators/tasks/template_arguments.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "evaluators/tasks/template_value.h"

namespace quantd::template_functions {

using nlohmann::json;

absl::Status TooLarge() {
  return absl::InvalidArgumentError(absl::StrCat("the result is larger than ",
                                                 kMaxTemplateText, " bytes or ",
                                                 kMaxTemplateItems, " items"));
}

absl::StatusOr<absl::string_view> Text(const json& value) {
  if (!value.is_string()) return WrongType("a text", value);
  return absl::string_view(value.get_ref<const std::string&>());
}

absl::StatusOr<const json::array_t*> List(const json& value) {
  if (!value.is_array()) return WrongType("a list", value);
  return value.get_ptr<const json::array_t*>();
}

JsonOr Bounded(std::string text) {
  if (text.size() > kMaxTemplateText) return TooLarge();
  return json(std::move(text));
}

}  // namespace quantd::template_functions
