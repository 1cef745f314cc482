#include "evaluators/tasks/template_text_functions.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "evaluators/tasks/template_value.h"
#include "evaluators/tasks/unicode_text.h"
#include "models/json_text.h"
#include "re2/re2.h"

namespace quantd::template_functions {

using nlohmann::json;

// RE2 is linear in the text; this bounds what one pattern may cost.
constexpr int64_t kMaxPatternMemory = int64_t{1} << 20;

namespace {

// Filters that Jinja applies to anything by printing it first.
template <typename Function>
JsonOr OnText(const json& self, Function function) {
  ASSIGN_OR_RETURN(const std::string text, TemplateText(self));
  return Bounded(std::string(function(text)));
}

}  // namespace

JsonOr Lower(const json& self, Arguments) { return OnText(self, LowerCase); }
JsonOr Upper(const json& self, Arguments) { return OnText(self, UpperCase); }
JsonOr Capital(const json& self, Arguments) { return OnText(self, Capitalize); }

namespace {

absl::StatusOr<absl::string_view> StripSet(Arguments arguments) {
  if (arguments.empty()) return absl::string_view();
  return Text(arguments[0]);
}

}  // namespace

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

namespace {

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

}  // namespace

JsonOr Split(const json& self, Arguments arguments) {
  return SplitWith(self, arguments, SplitLeft);
}

JsonOr RightSplit(const json& self, Arguments arguments) {
  return SplitWith(self, arguments, SplitRight);
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

JsonOr String(const json& self, Arguments) {
  ASSIGN_OR_RETURN(std::string text, TemplateText(self));
  return json(std::move(text));
}

JsonOr TitleFilter(const json& self, Arguments) {
  return OnText(self, TitleWords);
}

JsonOr TitleMethod(const json& self, Arguments) {
  return OnText(self, TitleLetters);
}

}  // namespace quantd::template_functions
