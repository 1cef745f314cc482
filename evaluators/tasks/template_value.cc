#include "evaluators/tasks/template_value.h"

#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "models/json_text.h"

namespace quantd {
namespace {

using nlohmann::json;

// Python's repr: the shortest digits that give the number back, an exponent
// below 1e-4 and from 1e16 on.
std::string FloatText(double number) {
  char digits[32];
  const double size = std::abs(number);
  const bool scientific = size != 0 && (size < 1e-4 || size >= 1e16);
  const auto end = std::to_chars(
      std::begin(digits), std::end(digits), number,
      scientific ? std::chars_format::scientific : std::chars_format::fixed);
  std::string text(digits, end.ptr);
  if (!scientific && text.find('.') == std::string::npos) text += ".0";
  return text;
}

}  // namespace

absl::Status WrongType(absl::string_view expected, const json& got) {
  return absl::InvalidArgumentError(
      absl::StrCat("expected ", expected, ", got ", DescribeJson(got)));
}

absl::Status MissingField(absl::string_view name, const json& object) {
  if (!object.is_object()) {
    return absl::NotFoundError(
        absl::StrCat("no field ", Quoted(name), " in ", DescribeJson(object)));
  }
  std::string fields;
  for (const auto& member : object.items()) {
    if (fields.size() > 500) {
      absl::StrAppend(&fields, ", ...");
      break;
    }
    absl::StrAppend(&fields, fields.empty() ? "" : ", ", Quoted(member.key()));
  }
  return absl::NotFoundError(
      absl::StrCat("no field ", Quoted(name), "; there are: ", fields));
}

absl::StatusOr<std::string> TemplateKey(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_number_integer()) {
    return WrongType("a text or an integer", value);
  }
  return TemplateText(value);
}

absl::StatusOr<const json*> TemplatePart(const json& value, const json& path) {
  ASSIGN_OR_RETURN(const std::string names, TemplateKey(path));
  if (names.size() > kMaxTemplatePath) {
    return absl::InvalidArgumentError(
        absl::StrCat("an attribute of more than ", kMaxTemplatePath, " bytes"));
  }
  const json* part = &value;
  for (const absl::string_view name : absl::StrSplit(names, '.')) {
    size_t place = 0;
    if (part->is_array() && absl::SimpleAtoi(name, &place) &&
        place < part->size()) {
      part = &(*part)[place];
      continue;
    }
    if (!part->is_object()) return MissingField(name, *part);
    const auto member = part->find(std::string(name));
    if (member == part->end()) return MissingField(name, *part);
    part = &*member;
  }
  return part;
}

bool IsTruthy(const json& value) {
  switch (value.type()) {
    case json::value_t::boolean:
      return value.get<bool>();
    case json::value_t::number_integer:
    case json::value_t::number_unsigned:
    case json::value_t::number_float:
      return value.get<double>() != 0;
    case json::value_t::string:
      return !value.get_ref<const std::string&>().empty();
    case json::value_t::array:
    case json::value_t::object:
      return !value.empty();
    default:
      return false;
  }
}

bool TemplateEqual(const json& a, const json& b) {
  if (a.is_boolean() && b.is_number()) return json(a.get<bool>() ? 1 : 0) == b;
  if (b.is_boolean() && a.is_number()) return TemplateEqual(b, a);
  return a == b;
}

absl::StatusOr<std::string> TemplateText(const json& value) {
  switch (value.type()) {
    case json::value_t::string:
      return value.get<std::string>();
    case json::value_t::boolean:
      return std::string(value.get<bool>() ? "True" : "False");
    case json::value_t::number_integer:
      return absl::StrCat(value.get<int64_t>());
    case json::value_t::number_unsigned:
      return absl::StrCat(value.get<uint64_t>());
    case json::value_t::number_float:
      return FloatText(value.get<double>());
    default:
      return WrongType("a text or a number", value);
  }
}

absl::StatusOr<int64_t> TemplateInteger(const json& value) {
  if (value.is_boolean()) return int64_t{value.get<bool>()};
  const bool fits = value.is_number_unsigned()
                        ? value.get<uint64_t>() <=
                              uint64_t{std::numeric_limits<int64_t>::max()}
                        : value.is_number_integer();
  if (!fits) return WrongType("an integer", value);
  return value.get<int64_t>();
}

}  // namespace quantd
