#include "evaluators/tasks/template_functions.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "evaluators/tasks/template_arguments.h"
#include "evaluators/tasks/template_list_functions.h"
#include "evaluators/tasks/template_number_functions.h"
#include "evaluators/tasks/template_text_functions.h"
#include "evaluators/tasks/template_value.h"

namespace quantd {
namespace {

namespace fn = template_functions;

using fn::Arguments;
using fn::Bounded;
using fn::JsonOr;
using fn::TooLarge;
using nlohmann::json;

// Python's json.dumps() with sorted keys, and without the characters that HTML
// gives a meaning, as Jinja's filter writes it.
absl::Status AppendJson(const json& value, std::string& text) {
  if (text.size() > kMaxTemplateText) return TooLarge();
  const auto append_text = [&](const json& string) {
    for (const char c : string.dump(-1, ' ', /*ensure_ascii=*/true)) {
      if (c == '<' || c == '>' || c == '&' || c == '\'') {
        absl::StrAppendFormat(&text, "\\u%04x", static_cast<int>(c));
      } else {
        text.push_back(c);
      }
    }
  };
  if (value.is_array()) {
    text.push_back('[');
    for (size_t i = 0; i < value.size(); ++i) {
      if (i > 0) absl::StrAppend(&text, ", ");
      RETURN_IF_ERROR(AppendJson(value[i], text));
    }
    text.push_back(']');
  } else if (value.is_object()) {
    text.push_back('{');
    bool first = true;
    for (const auto& member : value.items()) {
      if (!std::exchange(first, false)) absl::StrAppend(&text, ", ");
      append_text(json(member.key()));
      absl::StrAppend(&text, ": ");
      RETURN_IF_ERROR(AppendJson(member.value(), text));
    }
    text.push_back('}');
  } else if (value.is_string()) {
    append_text(value);
  } else if (value.is_number()) {
    ASSIGN_OR_RETURN(const std::string number, TemplateText(value));
    absl::StrAppend(&text, number);
  } else {
    absl::StrAppend(&text, value.dump());  // true, false, null
  }
  return absl::OkStatus();
}

// How deep it may be nested is checked before a filter is called.
JsonOr ToJson(const json& self, Arguments) {
  std::string text;
  RETURN_IF_ERROR(AppendJson(self, text));
  return Bounded(std::move(text));
}

// What is not there is the evaluation's business; with `true` as second
// argument, what is false counts as not there.
JsonOr Default(const json& self, Arguments arguments) {
  if (arguments.size() > 1 && IsTruthy(arguments[1]) && !IsTruthy(self)) {
    return arguments[0];
  }
  return self;
}

constexpr TemplateFunction kFunctions[] = {
    // name, filter, method, fewest and most arguments, their names
    {"capitalize", true, true, 0, 0, {}, fn::Capital},
    {"count", false, true, 1, 1, {"sub"}, fn::Count},
    {"default", true, false, 1, 2, {"default_value", "boolean"}, Default},
    {"endswith", false, true, 1, 1, {"suffix"}, fn::EndsWith},
    {"find", false, true, 1, 1, {"sub"}, fn::Find},
    {"first", true, false, 0, 0, {}, fn::First},
    {"float", true, false, 0, 0, {}, fn::Float},
    {"get", false, true, 1, 2, {"key", "default"}, fn::Get},
    {"index", false, true, 1, 1, {"sub"}, fn::Index},
    {"int", true, false, 0, 0, {}, fn::Int},
    {"items", true, true, 0, 0, {}, fn::Items},
    {"join", true, false, 0, 2, {"d", "attribute"}, fn::JoinItems},
    {"join", false, true, 0, 1, {"iterable"}, fn::Join},
    {"keys", false, true, 0, 0, {}, fn::Keys},
    {"last", true, false, 0, 0, {}, fn::Last},
    {"length", true, false, 0, 0, {}, fn::Length},
    {"list", true, false, 0, 0, {}, fn::ToList},
    {"lower", true, true, 0, 0, {}, fn::Lower},
    {"lstrip", true, true, 0, 1, {"chars"}, fn::StripBegin},
    {"regex_replace", true, false, 2, 2, {"find", "replace"}, fn::RegexReplace},
    {"replace", true, true, 2, 3, {"old", "new", "count"}, fn::Replace},
    {"reverse", true, false, 0, 0, {}, fn::Reverse},
    {"round", true, false, 0, 2, {"precision", "method"}, fn::Round},
    {"rsplit", true, true, 0, 2, {"sep", "maxsplit"}, fn::RightSplit},
    {"rstrip", true, true, 0, 1, {"chars"}, fn::StripEnd},
    {"select", true, false, 0, 0, {}, fn::Select},
    {"sort",
     true,
     false,
     0,
     3,
     {"reverse", "case_sensitive", "attribute"},
     fn::Sort},
    {"split", true, true, 0, 2, {"sep", "maxsplit"}, fn::Split},
    {"startswith", false, true, 1, 1, {"prefix"}, fn::StartsWith},
    {"string", true, false, 0, 0, {}, fn::String},
    {"strip", true, true, 0, 1, {"chars"}, fn::Strip},
    {"title", true, false, 0, 0, {}, fn::TitleFilter},
    {"title", false, true, 0, 0, {}, fn::TitleMethod},
    {"tojson", true, false, 0, 0, {}, ToJson},
    {"trim", true, false, 0, 1, {"chars"}, fn::Strip},
    {"upper", true, true, 0, 0, {}, fn::Upper},
    {"values", false, true, 0, 0, {}, fn::Values},
};

bool Has(const TemplateFunction& function, FunctionUse use) {
  return use == FunctionUse::kFilter ? function.is_filter : function.is_method;
}

}  // namespace

const TemplateFunction* FindTemplateFunction(absl::string_view name,
                                             FunctionUse use) {
  for (const TemplateFunction& function : kFunctions) {
    if (function.name == name && Has(function, use)) return &function;
  }
  return nullptr;
}

std::string TemplateFunctionNames(FunctionUse use) {
  std::string names;
  for (const TemplateFunction& function : kFunctions) {
    if (!Has(function, use)) continue;
    absl::StrAppend(&names, names.empty() ? "" : ", ", function.name);
  }
  return names;
}

}  // namespace quantd
