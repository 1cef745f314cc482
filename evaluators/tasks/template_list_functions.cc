#include "evaluators/tasks/template_list_functions.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/tasks/template_number_functions.h"
#include "evaluators/tasks/template_value.h"
#include "evaluators/tasks/unicode_text.h"
#include "models/json_text.h"

namespace quantd::template_functions {

using nlohmann::json;

namespace {

JsonOr JoinList(const json& list, absl::string_view separator) {
  ASSIGN_OR_RETURN(const json::array_t* items, List(list));
  std::string result;
  for (size_t i = 0; i < items->size(); ++i) {
    ASSIGN_OR_RETURN(const std::string text, TemplateText((*items)[i]));
    absl::StrAppend(&result, i == 0 ? "" : separator, text);
    if (result.size() > kMaxTemplateText) return TooLarge();
  }
  return json(std::move(result));
}

}  // namespace

JsonOr Join(const json& self, Arguments arguments) {
  if (self.is_string() && !arguments.empty()) {
    return JoinList(arguments[0], self.get_ref<const std::string&>());
  }
  absl::string_view separator;
  if (!arguments.empty()) {
    ASSIGN_OR_RETURN(separator, Text(arguments[0]));
  }
  return JoinList(self, separator);
}

JsonOr JoinItems(const json& self, Arguments arguments) {
  absl::string_view separator;
  if (!arguments.empty() && !arguments[0].is_null()) {
    ASSIGN_OR_RETURN(separator, Text(arguments[0]));
  }
  if (arguments.size() < 2) return JoinList(self, separator);
  ASSIGN_OR_RETURN(const json::array_t* items, List(self));
  json parts = json::array();
  for (const json& item : *items) {
    ASSIGN_OR_RETURN(const json* part, TemplatePart(item, arguments[1]));
    parts.push_back(*part);
  }
  return JoinList(parts, separator);
}

JsonOr Find(const json& self, Arguments arguments) {
  if (self.is_array()) {
    for (size_t i = 0; i < self.size(); ++i) {
      if (TemplateEqual(self[i], arguments[0])) return json(i);
    }
    return json(-1);
  }
  ASSIGN_OR_RETURN(const absl::string_view text, Text(self));
  ASSIGN_OR_RETURN(const absl::string_view part, Text(arguments[0]));
  const size_t hit = text.find(part);
  if (hit == absl::string_view::npos) return json(-1);
  return json(CharacterCount(text.substr(0, hit)));
}

JsonOr Index(const json& self, Arguments arguments) {
  ASSIGN_OR_RETURN(json place, Find(self, arguments));
  if (place == -1) {
    return absl::InvalidArgumentError(
        absl::StrCat("index(): ", DescribeJson(arguments[0]), " is not in ",
                     DescribeJson(self)));
  }
  return place;
}

JsonOr Count(const json& self, Arguments arguments) {
  if (self.is_array()) {
    return json(std::count_if(self.begin(), self.end(), [&](const json& item) {
      return TemplateEqual(item, arguments[0]);
    }));
  }
  ASSIGN_OR_RETURN(const absl::string_view text, Text(self));
  ASSIGN_OR_RETURN(const absl::string_view part, Text(arguments[0]));
  if (part.empty()) return json(CharacterCount(text) + 1);
  int64_t count = 0;
  for (size_t hit = text.find(part); hit != absl::string_view::npos;
       hit = text.find(part, hit + part.size())) {
    ++count;
  }
  return json(count);
}

JsonOr Length(const json& self, Arguments) {
  if (self.is_string()) {
    return json(CharacterCount(self.get_ref<const std::string&>()));
  }
  if (self.is_array() || self.is_object()) return json(self.size());
  return WrongType("a text, list or object", self);
}

namespace {

JsonOr End(const json& self, bool first) {
  if (self.is_array()) {
    if (!self.empty()) return first ? self.front() : self.back();
  } else {
    ASSIGN_OR_RETURN(const absl::string_view text, Text(self));
    const int64_t size = static_cast<int64_t>(CharacterCount(text));
    const int64_t at = first ? 0 : size - 1;
    if (size > 0) return json(std::string(CharacterSlice(text, at, at + 1)));
  }
  return absl::InvalidArgumentError("first or last of nothing");
}

}  // namespace

JsonOr First(const json& self, Arguments) { return End(self, true); }
JsonOr Last(const json& self, Arguments) { return End(self, false); }

JsonOr ToList(const json& self, Arguments) {
  if (self.is_array()) return self;
  ASSIGN_OR_RETURN(absl::string_view text, Text(self));
  if (CharacterCount(text) > kMaxTemplateItems) return TooLarge();
  json list = json::array();
  while (!text.empty()) {
    const absl::string_view character = CharacterSlice(text, 0, 1);
    list.push_back(std::string(character));
    text.remove_prefix(character.size());
  }
  return list;
}

JsonOr Reverse(const json& self, Arguments) {
  if (self.is_array()) {
    ASSIGN_OR_RETURN(const json::array_t* items, List(self));
    return json(json::array_t(items->rbegin(), items->rend()));
  }
  ASSIGN_OR_RETURN(const absl::string_view text, Text(self));
  return json(Reversed(text));
}

namespace {

// What items are sorted by, made comparable: all integers, all numbers or all
// texts.
absl::StatusOr<std::vector<json>> SortKeys(const json::array_t& items,
                                           bool case_sensitive,
                                           const json& attribute) {
  std::vector<json> keys;
  bool texts = true, integers = true, numbers = true;
  for (const json& item : items) {
    const json* key = &item;
    if (!attribute.is_null()) {
      ASSIGN_OR_RETURN(key, TemplatePart(item, attribute));
    }
    texts = texts && key->is_string();
    integers = integers && TemplateInteger(*key).ok();
    numbers = numbers && (key->is_number() || key->is_boolean());
    if (!texts && !numbers) {
      return WrongType("items that are all numbers or all texts", *key);
    }
    keys.push_back(*key);
  }
  for (json& key : keys) {
    if (texts) {
      if (!case_sensitive) key = LowerCase(key.get_ref<const std::string&>());
    } else if (integers) {
      ASSIGN_OR_RETURN(key, TemplateInteger(key));
    } else {
      ASSIGN_OR_RETURN(key, Float(key, {}));
    }
  }
  return keys;
}

}  // namespace

JsonOr Sort(const json& self, Arguments arguments) {
  const auto is_set = [&](size_t i) {
    return arguments.size() > i && IsTruthy(arguments[i]);
  };
  ASSIGN_OR_RETURN(const json::array_t* items, List(self));
  ASSIGN_OR_RETURN(const std::vector<json> keys,
                   SortKeys(*items, is_set(1),
                            arguments.size() > 2 ? arguments[2] : json()));
  std::vector<size_t> order(items->size());
  std::iota(order.begin(), order.end(), size_t{0});
  const bool reverse = is_set(0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return reverse ? keys[b] < keys[a] : keys[a] < keys[b];
  });
  json sorted = json::array();
  for (const size_t i : order) sorted.push_back((*items)[i]);
  return sorted;
}

JsonOr Items(const json& self, Arguments) {
  if (!self.is_object()) return WrongType("an object", self);
  json list = json::array();
  for (const auto& member : self.items()) {
    list.push_back(json::array({member.key(), member.value()}));
  }
  return list;
}

JsonOr Keys(const json& self, Arguments) {
  if (!self.is_object()) return WrongType("an object", self);
  json list = json::array();
  for (const auto& member : self.items()) list.push_back(member.key());
  return list;
}

JsonOr Values(const json& self, Arguments) {
  if (!self.is_object()) return WrongType("an object", self);
  json list = json::array();
  for (const json& value : self) list.push_back(value);
  return list;
}

JsonOr Select(const json& self, Arguments) {
  ASSIGN_OR_RETURN(const json::array_t* items, List(self));
  json list = json::array();
  for (const json& item : *items) {
    if (IsTruthy(item)) list.push_back(item);
  }
  return list;
}

JsonOr Get(const json& self, Arguments arguments) {
  if (!self.is_object()) return WrongType("an object", self);
  ASSIGN_OR_RETURN(const absl::string_view key, Text(arguments[0]));
  const auto member = self.find(std::string(key));
  if (member != self.end()) return *member;
  return arguments.size() > 1 ? arguments[1] : json();
}

}  // namespace quantd::template_functions
