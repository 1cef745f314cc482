#include "evaluators/wikitext_detokenizer.h"

#include <cstddef>

#include "absl/strings/str_replace.h"
#include "evaluators/pattern_space.h"

namespace quantd {
namespace {

struct Replacement {
  absl::string_view from;
  absl::string_view to;
};

// Rules 1 to 3.
constexpr Replacement kBeforePairs[] = {
    {"s '", "s'"}, {" @-@ ", "-"}, {" @,@ ", ","}, {" @.@ ", "."},
    {" : ", ": "}, {" ; ", "; "},  {" . ", ". "},  {" ! ", "! "},
    {" ? ", "? "}, {" , ", ", "},
};

struct Pair {
  char open;
  char close;
};

// Rule 4.
constexpr Pair kPairs[] = {
    {'(', ')'}, {'[', ']'}, {'{', '}'}, {'"', '"'}, {'\'', '\''}};

// Rules 5 to 9.
constexpr Replacement kAfterPairs[] = {
    {"= = = =", "===="},    {"= = =", "==="}, {"= =", "=="},
    {" \u00b0 ", "\u00b0"}, {" \n", "\n"},    {"\n ", "\n"},
    {" N ", " 1 "},         {" 's", "'s"},
};

// Trims what stands between an opening sign and the next closing one. The text
// in between may hold further opening signs; the search goes on behind the
// closing one.
std::string TrimInside(absl::string_view text, const Pair& pair) {
  std::string out;
  out.reserve(text.size());
  while (true) {
    const size_t open = text.find(pair.open);
    const size_t close = open == absl::string_view::npos
                             ? open
                             : text.find(pair.close, open + 1);
    if (close == absl::string_view::npos) break;
    out.append(text.data(), open + 1);
    const absl::string_view inside =
        StripPatternSpace(text.substr(open + 1, close - open - 1));
    out.append(inside.data(), inside.size());
    out += pair.close;
    text.remove_prefix(close + 1);
  }
  out.append(text.data(), text.size());
  return out;
}

}  // namespace

std::string DetokenizeWikitext(absl::string_view text) {
  std::string out(text);
  for (const Replacement& rule : kBeforePairs) {
    out = absl::StrReplaceAll(out, {{rule.from, rule.to}});
  }
  for (const Pair& pair : kPairs) out = TrimInside(out, pair);
  for (const Replacement& rule : kAfterPairs) {
    out = absl::StrReplaceAll(out, {{rule.from, rule.to}});
  }
  return out;
}

}  // namespace quantd
