#include "evaluators/tasks/template_number_functions.h"

#include <cmath>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "evaluators/tasks/template_value.h"
#include "models/json_text.h"

namespace quantd::template_functions {

using nlohmann::json;

// Of decimal places: a double has no more.
constexpr int64_t kMaxPrecision = 15;

JsonOr Int(const json& self, Arguments) {
  if (self.is_number_float()) {
    const double number = std::trunc(self.get<double>());
    if (std::abs(number) >= 9e18) return WrongType("a smaller number", self);
    return json(static_cast<int64_t>(number));
  }
  if (!self.is_string()) {
    ASSIGN_OR_RETURN(const int64_t integer, TemplateInteger(self));
    return json(integer);
  }
  int64_t integer = 0;
  if (!absl::SimpleAtoi(self.get_ref<const std::string&>(), &integer)) {
    return WrongType("an integer", self);
  }
  return json(integer);
}

JsonOr Float(const json& self, Arguments) {
  double number = 0;
  if (self.is_string()) {
    if (!absl::SimpleAtod(self.get_ref<const std::string&>(), &number) ||
        !std::isfinite(number)) {
      return WrongType("a number", self);
    }
    return json(number);
  }
  if (self.is_boolean()) return json(self.get<bool>() ? 1.0 : 0.0);
  if (!self.is_number()) return WrongType("a number", self);
  return json(self.get<double>());
}

JsonOr Round(const json& self, Arguments arguments) {
  int64_t precision = 0;
  if (!arguments.empty() && !arguments[0].is_null()) {
    ASSIGN_OR_RETURN(precision, TemplateInteger(arguments[0]));
    if (precision < 0 || precision > kMaxPrecision) {
      return absl::InvalidArgumentError(absl::StrCat(
          "precision ", precision, ", expected 0 to ", kMaxPrecision));
    }
  }
  absl::string_view method = "common";
  if (arguments.size() > 1) {
    ASSIGN_OR_RETURN(method, Text(arguments[1]));
  }
  if (method == "common" && !self.is_number_float()) {
    ASSIGN_OR_RETURN(const int64_t integer, TemplateInteger(self));
    return json(integer);
  }
  ASSIGN_OR_RETURN(const json value, Float(self, {}));
  double number = value.get<double>();
  if (method == "common") {
    const std::string text =
        absl::StrFormat("%.*f", static_cast<int>(precision), number);
    if (!absl::SimpleAtod(text, &number)) return WrongType("a number", self);
    return json(number);
  }
  if (method != "ceil" && method != "floor") {
    return absl::InvalidArgumentError(absl::StrCat(
        "method ", Quoted(method), ", expected common, ceil or floor"));
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  number *= scale;
  number = (method == "ceil" ? std::ceil(number) : std::floor(number)) / scale;
  if (!std::isfinite(number)) return WrongType("a smaller number", self);
  return json(number);
}

}  // namespace quantd::template_functions
