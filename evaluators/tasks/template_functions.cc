#include "evaluators/tasks/template_functions.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "evaluators/tasks/template_value.h"
#include "evaluators/tasks/unicode_text.h"
#include "models/json_text.h"
#include "re2/re2.h"

namespace quantd {
namespace {

using nlohmann::json;
using Arguments = absl::Span<const json>;
using JsonOr = absl::StatusOr<json>;

// RE2 is linear in the text; this bounds what one pattern may cost.
constexpr int64_t kMaxPatternMemory = int64_t{1} << 20;

// Of decimal places: a double has no more.
constexpr int64_t kMaxPrecision = 15;

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

// Filters that Jinja applies to anything by printing it first.
template <typename Function>
JsonOr OnText(const json& self, Function function) {
  ASSIGN_OR_RETURN(const std::string text, TemplateText(self));
  return Bounded(std::string(function(text)));
}

JsonOr Lower(const json& self, Arguments) { return OnText(self, LowerCase); }
JsonOr Upper(const json& self, Arguments) { return OnText(self, UpperCase); }
JsonOr Capital(const json& self, Arguments) { return OnText(self, Capitalize); }

absl::StatusOr<absl::string_view> StripSet(Arguments arguments) {
  if (arguments.empty()) return absl::string_view();
  return Text(arguments[0]);
}

JsonOr Strip(const json& self, Arguments arguments) {
  ASSIGN_OR_RETURN(const absl::string_view set, StripSet(arguments));
  return OnText(self, [&](absl::string_view text) {
    return StripLeft(StripRight(text, set), set);
  });
}

JsonOr StripBegin(const json& self, Arguments arguments) {
  ASSIGN_OR_RETURN(const absl::string_view set, StripSet(arguments));
  return OnText(self,
                [&](absl::string_view text) { return StripLeft(text, set); });
}

JsonOr StripEnd(const json& self, Arguments arguments) {
  ASSIGN_OR_RETURN(const absl::string_view set, StripSet(arguments));
  return OnText(self,
                [&](absl::string_view text) { return StripRight(text, set); });
}

JsonOr Replace(const json& self, Arguments arguments) {
  ASSIGN_OR_RETURN(const std::string text, TemplateText(self));
  ASSIGN_OR_RETURN(const absl::string_view from, Text(arguments[0]));
  ASSIGN_OR_RETURN(const absl::string_view to, Text(arguments[1]));
  int64_t left = std::numeric_limits<int64_t>::max();
  if (arguments.size() > 2) {
    ASSIGN_OR_RETURN(left, TemplateInteger(arguments[2]));
  }
  if (from.empty()) {
    return absl::InvalidArgumentError("replace() of an empty text");
  }
  std::string result;
  size_t at = 0;
  for (; left > 0; --left) {
    const size_t hit = text.find(from.data(), at, from.size());
    if (hit == std::string::npos) break;
    absl::StrAppend(&result, absl::string_view(text).substr(at, hit - at), to);
    if (result.size() > kMaxTemplateText) return TooLarge();
    at = hit + from.size();
  }
  result.append(text, at);
  return Bounded(std::move(result));
}

JsonOr RegexReplace(const json& self, Arguments arguments) {
  ASSIGN_OR_RETURN(std::string text, TemplateText(self));
  ASSIGN_OR_RETURN(const absl::string_view pattern, Text(arguments[0]));
  ASSIGN_OR_RETURN(const absl::string_view to, Text(arguments[1]));
  RE2::Options options(RE2::Quiet);
  options.set_max_mem(kMaxPatternMemory);
  const RE2 regex(re2::StringPiece(pattern.data(), pattern.size()), options);
  std::string fault;
  if (!regex.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("pattern ", Quoted(pattern), ": ", Quoted(regex.error())));
  }
  const re2::StringPiece rewrite(to.data(), to.size());
  if (!regex.CheckRewriteString(rewrite, &fault)) {
    return absl::InvalidArgumentError(
        absl::StrCat("replacement ", Quoted(to), ": ", Quoted(fault)));
  }
  // At most one match more than bytes, each as long as the replacement and
  // what it refers to.
  if ((text.size() + 1) * (to.size() + 1) > kMaxTemplateText * 16) {
    return TooLarge();
  }
  RE2::GlobalReplace(&text, regex, rewrite);
  if (!IsValidUtf8(text)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "pattern ", Quoted(pattern),
        ": \\C takes a byte, which cuts a character in two; take a dot"));
  }
  return Bounded(std::move(text));
}

// str.split() and str.rsplit(): pieces between separators, or between runs of
// blanks if there is none; at most `most` cuts, from the left or the right.
std::vector<absl::string_view> SplitBlanks(absl::string_view text,
                                           size_t most) {
  std::vector<absl::string_view> pieces;
  text = StripLeft(text);
  while (!text.empty() && pieces.size() < most) {
    size_t end = 0;
    while (end < text.size() &&
           StripLeft(text.substr(end)).size() == text.size() - end) {
      ++end;
      while (end < text.size() && (text[end] & '\xC0') == '\x80') ++end;
    }
    pieces.push_back(text.substr(0, end));
    text = StripLeft(text.substr(end));
  }
  if (!text.empty()) pieces.push_back(text);
  return pieces;
}

std::vector<absl::string_view> SplitLeft(absl::string_view text,
                                         absl::string_view separator,
                                         size_t most) {
  std::vector<absl::string_view> pieces;
  while (pieces.size() < most) {
    const size_t hit = text.find(separator);
    if (hit == absl::string_view::npos) break;
    pieces.push_back(text.substr(0, hit));
    text.remove_prefix(hit + separator.size());
  }
  pieces.push_back(text);
  return pieces;
}

std::vector<absl::string_view> SplitRight(absl::string_view text,
                                          absl::string_view separator,
                                          size_t most) {
  std::vector<absl::string_view> pieces;
  while (pieces.size() < most) {
    const size_t hit = text.rfind(separator);
    if (hit == absl::string_view::npos) break;
    pieces.push_back(text.substr(hit + separator.size()));
    text = text.substr(0, hit);
  }
  pieces.push_back(text);
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

using Splitter = std::vector<absl::string_view> (*)(absl::string_view,
                                                    absl::string_view, size_t);

JsonOr SplitWith(const json& self, Arguments arguments, Splitter splitter) {
  ASSIGN_OR_RETURN(const absl::string_view text, Text(self));
  size_t most = kMaxTemplateItems;
  if (arguments.size() > 1) {
    ASSIGN_OR_RETURN(const int64_t given, TemplateInteger(arguments[1]));
    if (given >= 0) most = std::min<uint64_t>(most, given);
  }
  std::vector<absl::string_view> pieces;
  if (arguments.empty() || arguments[0].is_null()) {
    if (splitter == SplitRight && most < kMaxTemplateItems) {
      return absl::InvalidArgumentError(
          "rsplit() with a limit needs a separator");
    }
    pieces = SplitBlanks(text, most);
  } else {
    ASSIGN_OR_RETURN(const absl::string_view separator, Text(arguments[0]));
    if (separator.empty()) {
      return absl::InvalidArgumentError("split() at an empty text");
    }
    pieces = splitter(text, separator, most);
  }
  if (pieces.size() > kMaxTemplateItems) return TooLarge();
  json list = json::array();
  for (const absl::string_view piece : pieces) {
    list.push_back(std::string(piece));
  }
  return list;
}

JsonOr Split(const json& self, Arguments arguments) {
  return SplitWith(self, arguments, SplitLeft);
}

JsonOr RightSplit(const json& self, Arguments arguments) {
  return SplitWith(self, arguments, SplitRight);
}

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

// list | join(", "), but ", ".join(list).
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

// Of the parts of items that `attribute` names, where it is given.
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

JsonOr StartsWith(const json& self, Arguments arguments) {
  ASSIGN_OR_RETURN(const absl::string_view text, Text(self));
  ASSIGN_OR_RETURN(const absl::string_view part, Text(arguments[0]));
  return json(absl::StartsWith(text, part));
}

JsonOr EndsWith(const json& self, Arguments arguments) {
  ASSIGN_OR_RETURN(const absl::string_view text, Text(self));
  ASSIGN_OR_RETURN(const absl::string_view part, Text(arguments[0]));
  return json(absl::EndsWith(text, part));
}

// The first place of a character or item, -1 if there is none.
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

JsonOr First(const json& self, Arguments) { return End(self, true); }
JsonOr Last(const json& self, Arguments) { return End(self, false); }

// Unlike Jinja's, an error and not 0 where the text is no number: a wrong gold
// answer would go unnoticed.
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

// As Int(): an error where the text is no number.
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

// Digits behind the point of the decimal number nearest to a binary one, ties
// to even, as Python rounds; integers stay what they are.
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

JsonOr String(const json& self, Arguments) {
  ASSIGN_OR_RETURN(std::string text, TemplateText(self));
  return json(std::move(text));
}

// The characters of a text.
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

JsonOr TitleFilter(const json& self, Arguments) {
  return OnText(self, TitleWords);
}

JsonOr TitleMethod(const json& self, Arguments) {
  return OnText(self, TitleLetters);
}

JsonOr Reverse(const json& self, Arguments) {
  if (self.is_array()) {
    ASSIGN_OR_RETURN(const json::array_t* items, List(self));
    return json(json::array_t(items->rbegin(), items->rend()));
  }
  ASSIGN_OR_RETURN(const absl::string_view text, Text(self));
  return json(Reversed(text));
}

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

// Equal items keep their order, also in reverse.
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

// Members in the order of their names: records do not keep that of the file.
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

// The items that are true.
JsonOr Select(const json& self, Arguments) {
  ASSIGN_OR_RETURN(const json::array_t* items, List(self));
  json list = json::array();
  for (const json& item : *items) {
    if (IsTruthy(item)) list.push_back(item);
  }
  return list;
}

// What is not there is the evaluation's business; with `true` as second
// argument, what is false counts as not there.
JsonOr Default(const json& self, Arguments arguments) {
  if (arguments.size() > 1 && IsTruthy(arguments[1]) && !IsTruthy(self)) {
    return arguments[0];
  }
  return self;
}

JsonOr Get(const json& self, Arguments arguments) {
  if (!self.is_object()) return WrongType("an object", self);
  ASSIGN_OR_RETURN(const absl::string_view key, Text(arguments[0]));
  const auto member = self.find(std::string(key));
  if (member != self.end()) return *member;
  return arguments.size() > 1 ? arguments[1] : json();
}

constexpr TemplateFunction kFunctions[] = {
    // name, filter, method, fewest and most arguments, their names
    {"capitalize", true, true, 0, 0, {}, Capital},
    {"count", false, true, 1, 1, {"sub"}, Count},
    {"default", true, false, 1, 2, {"default_value", "boolean"}, Default},
    {"endswith", false, true, 1, 1, {"suffix"}, EndsWith},
    {"find", false, true, 1, 1, {"sub"}, Find},
    {"first", true, false, 0, 0, {}, First},
    {"float", true, false, 0, 0, {}, Float},
    {"get", false, true, 1, 2, {"key", "default"}, Get},
    {"index", false, true, 1, 1, {"sub"}, Index},
    {"int", true, false, 0, 0, {}, Int},
    {"items", true, true, 0, 0, {}, Items},
    {"join", true, false, 0, 2, {"d", "attribute"}, JoinItems},
    {"join", false, true, 0, 1, {"iterable"}, Join},
    {"keys", false, true, 0, 0, {}, Keys},
    {"last", true, false, 0, 0, {}, Last},
    {"length", true, false, 0, 0, {}, Length},
    {"list", true, false, 0, 0, {}, ToList},
    {"lower", true, true, 0, 0, {}, Lower},
    {"lstrip", true, true, 0, 1, {"chars"}, StripBegin},
    {"regex_replace", true, false, 2, 2, {"find", "replace"}, RegexReplace},
    {"replace", true, true, 2, 3, {"old", "new", "count"}, Replace},
    {"reverse", true, false, 0, 0, {}, Reverse},
    {"round", true, false, 0, 2, {"precision", "method"}, Round},
    {"rsplit", true, true, 0, 2, {"sep", "maxsplit"}, RightSplit},
    {"rstrip", true, true, 0, 1, {"chars"}, StripEnd},
    {"select", true, false, 0, 0, {}, Select},
    {"sort",
     true,
     false,
     0,
     3,
     {"reverse", "case_sensitive", "attribute"},
     Sort},
    {"split", true, true, 0, 2, {"sep", "maxsplit"}, Split},
    {"startswith", false, true, 1, 1, {"prefix"}, StartsWith},
    {"string", true, false, 0, 0, {}, String},
    {"strip", true, true, 0, 1, {"chars"}, Strip},
    {"title", true, false, 0, 0, {}, TitleFilter},
    {"title", false, true, 0, 0, {}, TitleMethod},
    {"tojson", true, false, 0, 0, {}, ToJson},
    {"trim", true, false, 0, 1, {"chars"}, Strip},
    {"upper", true, true, 0, 0, {}, Upper},
    {"values", false, true, 0, 0, {}, Values},
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
