#include "proto/field_values.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <vector>

#include "absl/numeric/int128.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/utf8.h"

namespace quantd {
namespace {

using ::google::protobuf::EnumDescriptor;
using ::google::protobuf::EnumValueDescriptor;
using ::google::protobuf::FieldDescriptor;

// Texts longer than this are cut when an error repeats them.
constexpr size_t kQuotedBytes = 64;

std::string Quoted(absl::string_view text) {
  if (text.size() <= kQuotedBytes) {
    return absl::StrCat("\"", absl::CHexEscape(text), "\"");
  }
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kQuotedBytes)),
                      "...\"");
}

// Decimal digits with an optional sign. Saturates far outside 64 bits, where
// the caller's range check refuses the value with the right message.
bool ParseInteger(absl::string_view text, absl::int128* value) {
  text = absl::StripAsciiWhitespace(text);
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text.empty()) return false;
  const absl::int128 limit = absl::MakeInt128(int64_t{1} << 32, 0);
  absl::int128 magnitude = 0;
  for (char c : text) {
    if (!absl::ascii_isdigit(c)) return false;
    if (magnitude < limit) magnitude = magnitude * 10 + (c - '0');
  }
  *value = negative ? -magnitude : magnitude;
  return true;
}

struct IntegerLimits {
  absl::int128 min;
  absl::int128 max;
};

IntegerLimits LimitsOf(FieldDescriptor::CppType type) {
  switch (type) {
    case FieldDescriptor::CPPTYPE_INT32:
      return {std::numeric_limits<int32_t>::min(),
              std::numeric_limits<int32_t>::max()};
    case FieldDescriptor::CPPTYPE_UINT32:
      return {0, std::numeric_limits<uint32_t>::max()};
    case FieldDescriptor::CPPTYPE_UINT64:
      return {0, std::numeric_limits<uint64_t>::max()};
    default:
      return {std::numeric_limits<int64_t>::min(),
              std::numeric_limits<int64_t>::max()};
  }
}

bool IsUnsigned(FieldDescriptor::CppType type) {
  return type == FieldDescriptor::CPPTYPE_UINT32 ||
         type == FieldDescriptor::CPPTYPE_UINT64;
}

bool IsText(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_STRING;
}

bool IsFloating(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE ||
         field.cpp_type() == FieldDescriptor::CPPTYPE_FLOAT;
}

bool IsInteger(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return true;
    default:
      return false;
  }
}

template <typename T>
std::string ShortestText(T value) {
  char buffer[64];
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return std::string(buffer, result.ptr);
}

// The names a person may write; the zero value of an enum that only means
// "not said" is not one of them.
std::vector<std::string> EnumNames(const EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) {
    const std::string& name = type.value(i)->name();
    if (type.value(i)->number() == 0 && absl::EndsWith(name, "UNSPECIFIED")) {
      continue;
    }
    names.push_back(name);
  }
  return names;
}

std::string IntervalText(const std::string& min, const std::string& max) {
  if (!min.empty() && !max.empty()) return absl::StrCat(min, "..", max);
  if (!min.empty()) return absl::StrCat("at least ", min);
  if (!max.empty()) return absl::StrCat("at most ", max);
  return "";
}

std::string WithUnit(std::string text, const std::string& unit) {
  return unit.empty() || text.empty() ? text : absl::StrCat(text, " ", unit);
}

// Whether `value` lies inside the inclusive bounds written in the rules.
bool InsideBounds(const FieldDescriptor& field, const FieldValue& value,
                  const v1::FieldRules& rules) {
  if (const double* number = std::get_if<double>(&value)) {
    // Written so that NaN is outside every bound.
    double bound = 0;
    if (absl::SimpleAtod(rules.min(), &bound) && !(*number >= bound)) {
      return false;
    }
    if (absl::SimpleAtod(rules.max(), &bound) && !(*number <= bound)) {
      return false;
    }
    return true;
  }
  absl::int128 number = 0;
  if (const int64_t* integer = std::get_if<int64_t>(&value)) {
    number = *integer;
  } else if (const uint64_t* integer = std::get_if<uint64_t>(&value)) {
    number = *integer;
  } else {
    number = std::get<std::string>(value).size();
  }
  absl::int128 bound = 0;
  if (ParseInteger(rules.min(), &bound) && number < bound) return false;
  if (ParseInteger(rules.max(), &bound) && number > bound) return false;
  return true;
}

// The expression quantd/v1/options.proto states for resource ids.
bool IsResourceId(absl::string_view id) {
  if (id.empty() || id.size() > 128) return false;
  if (!absl::ascii_isalnum(id.front()) || !absl::ascii_isalnum(id.back())) {
    return false;
  }
  for (char c : id) {
    if (!absl::ascii_isalnum(c) && c != '.' && c != '_' && c != '-') {
      return false;
    }
  }
  return true;
}

absl::Status NotAValue(absl::string_view text, absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(Quoted(text), " is not ", expected));
}

}  // namespace

const v1::FieldRules& RulesOf(const FieldDescriptor& field) {
  return field.options().GetExtension(v1::rules);
}

bool IsMessageField(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
}

std::string TypeName(const FieldDescriptor& field) {
  if (field.is_map()) {
    const auto* entry = field.message_type();
    return absl::StrCat("map<", TypeName(*entry->map_key()), ", ",
                        TypeName(*entry->map_value()), ">");
  }
  std::string name = field.type_name();
  if (IsMessageField(field)) name = field.message_type()->name();
  if (field.enum_type() != nullptr) name = field.enum_type()->name();
  return field.is_repeated() ? absl::StrCat("list of ", name) : name;
}

absl::StatusOr<FieldValue> ParseFieldValue(const FieldDescriptor& field,
                                           absl::string_view text) {
  if (field.type() == FieldDescriptor::TYPE_STRING && !IsValidUtf8(text)) {
    return NotAValue(text, "valid UTF-8");
  }
  if (IsText(field)) return FieldValue(std::string(text));
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
    bool value = false;
    if (!absl::SimpleAtob(absl::StripAsciiWhitespace(text), &value)) {
      return NotAValue(text, "a bool (true or false)");
    }
    return FieldValue(value);
  }
  if (field.enum_type() != nullptr) {
    const absl::string_view name = absl::StripAsciiWhitespace(text);
    for (int i = 0; i < field.enum_type()->value_count(); ++i) {
      const EnumValueDescriptor* value = field.enum_type()->value(i);
      if (absl::EqualsIgnoreCase(value->name(), name)) {
        return FieldValue(value);
      }
    }
    return NotAValue(
        text, absl::StrCat("one of ",
                           absl::StrJoin(EnumNames(*field.enum_type()), ", ")));
  }
  if (IsFloating(field)) {
    double value = 0;
    if (!absl::SimpleAtod(absl::StripAsciiWhitespace(text), &value)) {
      return NotAValue(text, "a number");
    }
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_FLOAT) {
      value = static_cast<float>(value);
    }
    if (!std::isfinite(value)) return NotAValue(text, "a finite number");
    return FieldValue(value);
  }
  absl::int128 value = 0;
  if (!ParseInteger(text, &value)) return NotAValue(text, "a whole number");
  const IntegerLimits limits = LimitsOf(field.cpp_type());
  if (value < limits.min || value > limits.max) {
    const v1::FieldRules& rules = RulesOf(field);
    const bool bounded =
        !field.is_repeated() && !rules.min().empty() && !rules.max().empty();
    return NotAValue(
        text, absl::StrCat("in ", bounded ? RangeText(field)
                                          : absl::StrCat("the range of ",
                                                         field.type_name())));
  }
  if (IsUnsigned(field.cpp_type())) {
    return FieldValue(static_cast<uint64_t>(value));
  }
  return FieldValue(static_cast<int64_t>(value));
}

std::string FormatFieldValue(const FieldDescriptor& field,
                             const FieldValue& value) {
  if (const auto* v = std::get_if<int64_t>(&value)) return absl::StrCat(*v);
  if (const auto* v = std::get_if<uint64_t>(&value)) return absl::StrCat(*v);
  if (const auto* v = std::get_if<bool>(&value)) return *v ? "true" : "false";
  if (const auto* v = std::get_if<std::string>(&value)) return *v;
  if (const auto* v = std::get_if<const EnumValueDescriptor*>(&value)) {
    return (*v)->name();
  }
  const double number = std::get<double>(value);
  return field.cpp_type() == FieldDescriptor::CPPTYPE_FLOAT
             ? ShortestText(static_cast<float>(number))
             : ShortestText(number);
}

std::string CheckFieldValue(const FieldDescriptor& field,
                            const FieldValue& value) {
  const v1::FieldRules& rules = RulesOf(field);
  if (field.type() == FieldDescriptor::TYPE_STRING) {
    // Parsers of the text format take any bytes, those of messages only these.
    const std::string& text = std::get<std::string>(value);
    if (!IsValidUtf8(text)) {
      return absl::StrCat(Quoted(text), " is not valid UTF-8");
    }
  }
  if (const auto* v = std::get_if<const EnumValueDescriptor*>(&value)) {
    // proto3 keeps numbers it does not know; reflection gives them a made-up
    // descriptor that is not in the type.
    if (field.enum_type()->FindValueByNumber((*v)->number()) == nullptr) {
      return absl::StrCat((*v)->number(), " is not one of ",
                          absl::StrJoin(EnumNames(*field.enum_type()), ", "));
    }
  }
  const bool bounded = IsInteger(field) || IsFloating(field) || IsText(field);
  if (!field.is_repeated() && bounded && !InsideBounds(field, value, rules)) {
    const std::string interval = IntervalText(rules.min(), rules.max());
    if (IsText(field)) {
      return absl::StrCat("is ", std::get<std::string>(value).size(),
                          " bytes long; must be ", interval, " bytes");
    }
    return absl::StrCat(FormatFieldValue(field, value), " is out of range; ",
                        "must be ",
                        interval.find("..") != std::string::npos ? "in " : "",
                        WithUnit(interval, rules.unit()));
  }
  if (rules.allowed_size() > 0) {
    const std::string text = FormatFieldValue(field, value);
    bool found = false;
    for (const std::string& allowed : rules.allowed()) {
      found = found || allowed == text;
    }
    if (!found) {
      return absl::StrCat(Quoted(text), " is not one of ",
                          absl::StrJoin(rules.allowed(), ", "));
    }
  }
  if (rules.resource_id() && IsText(field)) {
    const std::string& id = std::get<std::string>(value);
    if (!IsResourceId(id)) {
      return absl::StrCat(Quoted(id),
                          " is no valid name: 1 to 128 letters, digits, '.', "
                          "'_' or '-', first and last a letter or digit");
    }
  }
  return "";
}

std::string CheckElementCount(const FieldDescriptor& field, int count) {
  const v1::FieldRules& rules = RulesOf(field);
  if (InsideBounds(field, FieldValue(int64_t{count}), rules)) return "";
  return absl::StrCat("has ", count, count == 1 ? " element" : " elements",
                      "; must have ", IntervalText(rules.min(), rules.max()));
}

std::string RangeText(const FieldDescriptor& field) {
  const v1::FieldRules& rules = RulesOf(field);
  if (rules.allowed_size() > 0) {
    return absl::StrCat("one of ", absl::StrJoin(rules.allowed(), ", "));
  }
  const std::string interval = IntervalText(rules.min(), rules.max());
  if (field.is_repeated()) return WithUnit(interval, "elements");
  if (field.enum_type() != nullptr) {
    return absl::StrCat("one of ",
                        absl::StrJoin(EnumNames(*field.enum_type()), ", "));
  }
  if (IsText(field)) return WithUnit(interval, "bytes");
  return interval;
}

}  // namespace quantd
