#include "evaluators/tasks/template_arithmetic.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/tasks/template_value.h"
#include "models/json_text.h"

namespace quantd {
namespace {

using nlohmann::json;

absl::StatusOr<json> Repeat(const json& list, const json& times) {
  ASSIGN_OR_RETURN(const int64_t count, TemplateInteger(times));
  json result = json::array();
  if (count <= 0 || list.empty()) return result;
  if (static_cast<uint64_t>(count) > kMaxTemplateItems / list.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a list of more than ", kMaxTemplateItems, " items"));
  }
  // Items may be large, and a thousand of each fit nowhere.
  if (count > 1 && std::any_of(list.begin(), list.end(), [](const json& item) {
        return item.is_structured() || item.is_string();
      })) {
    return absl::InvalidArgumentError("only lists of numbers can be repeated");
  }
  for (int64_t i = 0; i < count; ++i) {
    result.insert(result.end(), list.begin(), list.end());
  }
  return result;
}

absl::StatusOr<double> Number(const json& value) {
  if (value.is_boolean()) return value.get<bool>() ? 1.0 : 0.0;
  if (!value.is_number()) return WrongType("a number", value);
  return value.get<double>();
}

absl::StatusOr<json> FloatArithmetic(absl::string_view op, const json& left,
                                     const json& right) {
  ASSIGN_OR_RETURN(const double a, Number(left));
  ASSIGN_OR_RETURN(const double b, Number(right));
  double result = 0;
  if (op == "+") {
    result = a + b;
  } else if (op == "-") {
    result = a - b;
  } else if (op == "*") {
    result = a * b;
  } else if (op == "/") {
    if (b == 0) return absl::InvalidArgumentError("division by zero");
    result = a / b;
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat(op, " of numbers that are not integers"));
  }
  if (!std::isfinite(result)) {
    return absl::InvalidArgumentError("a number that is not finite");
  }
  return json(result);
}

// Division rounds down and the remainder has the divisor's sign, as in Python.
absl::StatusOr<json> IntegerArithmetic(absl::string_view op, int64_t a,
                                       int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (b == 0) {
    return absl::InvalidArgumentError("division by zero");
  } else if (b == -1) {  // the lowest integer has no counterpart
    overflow = op == "//" && __builtin_sub_overflow(int64_t{0}, a, &result);
  } else {
    const int64_t remainder = a % b;
    const bool rounds_up = remainder != 0 && (remainder < 0) != (b < 0);
    result = op == "//" ? a / b - (rounds_up ? 1 : 0)
                        : remainder + (rounds_up ? b : 0);
  }
  if (overflow) return absl::InvalidArgumentError("an integer overflows");
  return json(result);
}

absl::StatusOr<bool> Contains(const json& whole, const json& part) {
  if (whole.is_array()) {
    return std::any_of(whole.begin(), whole.end(), [&](const json& item) {
      return TemplateEqual(item, part);
    });
  }
  if (!part.is_string()) return WrongType("a text", part);
  const std::string& text = part.get_ref<const std::string&>();
  if (whole.is_object()) return whole.contains(text);
  if (!whole.is_string()) return WrongType("a list, text or object", whole);
  return whole.get_ref<const std::string&>().find(text) != std::string::npos;
}

}  // namespace

absl::StatusOr<json> TemplateArithmetic(absl::string_view op, const json& left,
                                        const json& right) {
  if (op == "~") {
    ASSIGN_OR_RETURN(std::string text, TemplateText(left));
    ASSIGN_OR_RETURN(const std::string tail, TemplateText(right));
    return json(std::move(text) + tail);
  }
  if (op == "+" && left.is_string() && right.is_string()) {
    return json(left.get_ref<const std::string&>() +
                right.get_ref<const std::string&>());
  }
  if (op == "+" && left.is_array() && right.is_array()) {
    json list = left;
    list.insert(list.end(), right.begin(), right.end());
    return list;
  }
  if (op == "*" && left.is_array()) return Repeat(left, right);
  // The quotient of integers is a number with a point, as in Python.
  if (op == "/" || left.is_number_float() || right.is_number_float()) {
    return FloatArithmetic(op, left, right);
  }
  ASSIGN_OR_RETURN(const int64_t a, TemplateInteger(left));
  ASSIGN_OR_RETURN(const int64_t b, TemplateInteger(right));
  return IntegerArithmetic(op, a, b);
}

absl::StatusOr<bool> TemplateCompare(absl::string_view op, const json& left,
                                     const json& right) {
  if (op == "==") return TemplateEqual(left, right);
  if (op == "!=") return !TemplateEqual(left, right);
  if (op == "in" || op == "not in") {
    ASSIGN_OR_RETURN(const bool inside, Contains(right, left));
    return inside == (op == "in");
  }
  if (!(left.is_number() && right.is_number()) &&
      !(left.is_string() && right.is_string())) {
    return absl::InvalidArgumentError(absl::StrCat(
        op, " of ", DescribeJson(left), " and ", DescribeJson(right)));
  }
  if (op == "<") return left < right;
  if (op == "<=") return left <= right;
  if (op == ">") return left > right;
  return left >= right;
}

}  // namespace quantd
