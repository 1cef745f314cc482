#include "evaluators/tasks/yaml_reader.h"

#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/json_text.h"

namespace quantd {
namespace {

std::string Describe(const YamlValue& value) {
  return value.kind == YamlValue::Kind::kScalar ? Quoted(value.scalar)
                                                : std::string(value.KindName());
}

absl::Status Wrong(const YamlValue& value, absl::string_view path,
                   absl::string_view expected) {
  return YamlFault(
      value, path,
      absl::StrCat("expected ", expected, ", got ", Describe(value)));
}

// A scalar that is not in quotes.
bool IsPlain(const YamlValue& value) {
  return value.kind == YamlValue::Kind::kScalar && !value.quoted;
}

}  // namespace

absl::Status YamlFault(const YamlValue& value, absl::string_view path,
                       absl::string_view fault) {
  return absl::InvalidArgumentError(
      absl::StrCat("line ", value.line, ": ", path, ": ", fault));
}

absl::StatusOr<std::string> YamlString(const YamlValue& value,
                                       absl::string_view path) {
  if (value.kind != YamlValue::Kind::kScalar) {
    return Wrong(value, path, "a text");
  }
  return value.scalar;
}

absl::StatusOr<int64_t> YamlInteger(const YamlValue& value,
                                    absl::string_view path, int64_t min,
                                    int64_t max) {
  int64_t number = 0;
  if (!IsPlain(value) || !absl::SimpleAtoi(value.scalar, &number) ||
      number < min || number > max) {
    return Wrong(value, path,
                 absl::StrCat("an integer in [", min, ", ", max, "]"));
  }
  return number;
}

absl::StatusOr<double> YamlNumber(const YamlValue& value,
                                  absl::string_view path, double min,
                                  double max) {
  double number = 0;
  // The comparison is also false for NaN.
  if (!IsPlain(value) || !absl::SimpleAtod(value.scalar, &number) ||
      !(number >= min && number <= max)) {
    return Wrong(value, path,
                 absl::StrCat("a number in [", min, ", ", max, "]"));
  }
  return number;
}

absl::StatusOr<bool> YamlBool(const YamlValue& value, absl::string_view path) {
  if (IsPlain(value)) {
    if (value.scalar == "true" || value.scalar == "True") return true;
    if (value.scalar == "false" || value.scalar == "False") return false;
  }
  return Wrong(value, path, "true or false");
}

absl::StatusOr<std::vector<std::string>> YamlStrings(const YamlValue& value,
                                                     absl::string_view path) {
  std::vector<std::string> texts;
  if (value.kind == YamlValue::Kind::kScalar) {
    texts.push_back(value.scalar);
    return texts;
  }
  RETURN_IF_ERROR(NeedYamlList(value, path));
  for (const YamlValue& item : value.items) {
    ASSIGN_OR_RETURN(std::string text, YamlString(item, path));
    texts.push_back(std::move(text));
  }
  return texts;
}

absl::Status NeedYamlList(const YamlValue& value, absl::string_view path) {
  return value.kind == YamlValue::Kind::kList ? absl::OkStatus()
                                              : Wrong(value, path, "a list");
}

absl::Status NeedYamlMap(const YamlValue& value, absl::string_view path) {
  return value.kind == YamlValue::Kind::kMap ? absl::OkStatus()
                                             : Wrong(value, path, "a map");
}

absl::Status UnknownYamlKey(const YamlMember& member, absl::string_view path,
                            absl::string_view known) {
  return absl::InvalidArgumentError(
      absl::StrCat("line ", member.line, ": ", path, path.empty() ? "" : ": ",
                   "unknown key ", Quoted(member.key), "; known: ", known));
}

}  // namespace quantd
