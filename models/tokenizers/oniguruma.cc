// TranslateOniguruma(): one pass over the pattern that rewrites escapes,
// option letters, nested character classes and repeated intervals, and refuses
// what PCRE2 would read differently. It does not check the syntax; PCRE2 does
// that on the result.
#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "models/tokenizers/pattern.h"

namespace quantd {
namespace {

// Unicode's definition of a word character, and the superscripts and fractions
// of Latin-1, which Oniguruma's table also has.
constexpr absl::string_view kWordSet =
    "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}";
constexpr absl::string_view kHexSet = "0-9a-fA-F";

// Classes such as [:alpha:], by Unicode's properties. PCRE2 has its own idea of
// most of them.
struct NamedSet {
  absl::string_view name;
  absl::string_view members;
};

constexpr NamedSet kNamedSets[] = {
    {"alnum", "\\p{Alphabetic}\\p{Nd}"},
    {"alpha", "\\p{Alphabetic}"},
    {"ascii", "\\x00-\\x7F"},
    {"blank", "\\t\\p{Zs}"},
    {"cntrl", "\\p{Cc}"},
    {"digit", "\\p{Nd}"},
    {"lower", "\\p{Lowercase}"},
    {"punct", "\\p{P}\\p{S}"},
    {"space", "\\p{White_Space}"},
    {"upper", "\\p{Uppercase}"},
    {"word", kWordSet},
    {"xdigit", kHexSet},
};

absl::Status Refuse(absl::string_view construct) {
  return absl::UnimplementedError(
      absl::StrCat(construct, " is not supported by this build"));
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

class Translator {
 public:
  explicit Translator(absl::string_view regex) : regex_(regex) {}

  absl::StatusOr<std::string> Run() {
    while (pos_ < regex_.size()) {
      switch (At(0)) {
        case '\\': {
          ASSIGN_OR_RETURN(const Escaped escaped, Escape());
          Atom(escaped.text);
          break;
        }
        case '[': {
          ASSIGN_OR_RETURN(const std::string set, Class(0));
          Atom(set);
          break;
        }
        case '(':
          Group();
          break;
        case ')':
          // A group is an atom that begins where it was opened.
          if (!open_groups_.empty()) {
            atom_ = open_groups_.back();
            open_groups_.pop_back();
          }
          Copy(1);
          break;
        case '{':
          Interval();
          break;
        case '*':
        case '+':
        case '?':
          Copy(1);
          break;
        default:
          Character();
      }
    }
    return std::move(result_);
  }

 private:
  struct Escaped {
    std::string text;
    // A complement: inside of a character class it is a class of its own.
    bool is_complement = false;
  };
  // One operand of "&&": plain members, and classes among them, each a pattern
  // that matches one character.
  struct Union {
    std::string members;
    std::vector<std::string> classes;

    bool empty() const { return members.empty() && classes.empty(); }
    std::string Text() const {
      if (classes.empty()) return absl::StrCat("[", members, "]");
      return absl::StrCat("(?:", members.empty() ? "" : "[", members,
                          members.empty() ? "" : "]|",
                          absl::StrJoin(classes, "|"), ")");
    }
  };

  char At(size_t offset) const {
    return pos_ + offset < regex_.size() ? regex_[pos_ + offset] : '\0';
  }

  void Copy(size_t count) {
    count = std::min(count, regex_.size() - pos_);
    result_.append(regex_.data() + pos_, count);
    pos_ += count;
  }

  // What a quantifier behind it would repeat.
  void Atom(absl::string_view text) {
    atom_ = result_.size();
    absl::StrAppend(&result_, text);
  }

  void Character() {
    size_t length = 1;
    while ((static_cast<uint8_t>(At(length)) & 0xC0) == 0x80) ++length;
    atom_ = result_.size();
    Copy(length);
  }

  absl::StatusOr<Escaped> Escape() {
    const char c = At(1);
    switch (c) {
      case 's':
        return Take(2, "\\p{White_Space}");
      case 'S':
        return Take(2, "\\P{White_Space}");
      case 'w':
        return Take(2, absl::StrCat("[", kWordSet, "]"));
      case 'W':
        return Complement(kWordSet);
      case 'h':
        return Take(2, absl::StrCat("[", kHexSet, "]"));
      case 'H':
        return Complement(kHexSet);
      case 'p':
      case 'P':
        return Property();
      case 'u':
        return CodePoint();
      case 'Q':
      case 'E':
      case 'N':
      case 'O':
      case 'C':
        return Refuse(absl::StrCat("\\", std::string(1, c)));
      default: {
        size_t length = 2;
        while ((static_cast<uint8_t>(At(length)) & 0xC0) == 0x80) ++length;
        return Take(length, regex_.substr(pos_, length));
      }
    }
  }

  Escaped Take(size_t count, absl::string_view text) {
    pos_ = std::min(pos_ + count, regex_.size());
    return {std::string(text)};
  }

  Escaped Complement(absl::string_view members) {
    Escaped escaped = Take(2, absl::StrCat("[^", members, "]"));
    escaped.is_complement = true;
    return escaped;
  }

  // \p{Han}: PCRE2 tests the script extensions unless told otherwise.
  // General categories have one or two letters, optionally after a '^'.
  Escaped Property() {
    const size_t close = regex_.find('}', pos_);
    if (At(2) != '{' || close == absl::string_view::npos) {
      return Take(2, regex_.substr(pos_, 2));
    }
    const size_t length = close + 1 - pos_;
    absl::string_view name = regex_.substr(pos_ + 3, close - pos_ - 3);
    const bool negated = !name.empty() && name[0] == '^';
    if (negated) name.remove_prefix(1);
    const bool is_script =
        name.size() > 2 &&
        Pattern::CompilePcre2(absl::StrCat("\\p{sc:", name, "}")).ok();
    if (!is_script) return Take(length, regex_.substr(pos_, length));
    return Take(length, absl::StrCat("\\", std::string(1, At(1)), "{",
                                     negated ? "^" : "", "sc:", name, "}"));
  }

  absl::StatusOr<Escaped> CodePoint() {
    for (size_t i = 2; i < 6; ++i) {
      if (!std::isxdigit(static_cast<unsigned char>(At(i)))) {
        return Refuse("\\u without four hexadecimal digits");
      }
    }
    return Take(6, absl::StrCat("\\x{", regex_.substr(pos_ + 2, 4), "}"));
  }

  // A character class, which may hold classes and intersections; PCRE2's may
  // not. "[a[^b]]" becomes "(?:[a]|[^b])", "[a&&b]" "(?:(?=[a])[b])".
  // REQUIRES: At(0) == '['.
  absl::StatusOr<std::string> Class(int depth) {
    const size_t begin = pos_;
    if (depth > kMaxClassDepth) return Refuse("a class nested so deeply");
    ++pos_;
    const bool negated = At(0) == '^';
    if (negated) ++pos_;
    std::vector<std::string> operands;
    Union current;
    if (At(0) == ']') {  // a literal when it comes first
      current.members = "\\]";
      ++pos_;
    }
    while (true) {
      if (pos_ >= regex_.size()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "does not compile: a character class does not end, at offset ",
            begin));
      }
      if (At(0) == ']') break;
      if (At(0) == '&' && At(1) == '&') {
        pos_ += 2;
        if (current.empty() || At(0) == '^') {
          return Refuse("an intersection of this form");
        }
        operands.push_back(current.Text());
        current = Union();
        continue;
      }
      RETURN_IF_ERROR(Member(depth, &current));
    }
    ++pos_;
    if (current.empty()) return Refuse("an empty operand of a class");
    if (operands.empty() && current.classes.empty()) {
      return absl::StrCat(negated ? "[^" : "[", current.members, "]");
    }
    std::string text;
    for (const std::string& operand : operands) {
      absl::StrAppend(&text, "(?=", operand, ")");
    }
    absl::StrAppend(&text, current.Text());
    return negated ? absl::StrCat("(?:(?!", text, ")(?s:.))")
                   : absl::StrCat("(?:", text, ")");
  }

  absl::Status Member(int depth, Union* current) {
    if (At(0) == '[' && At(1) == ':') {
      return Named(current);
    }
    if (At(0) == '[') {
      ASSIGN_OR_RETURN(std::string nested, Class(depth + 1));
      current->classes.push_back(std::move(nested));
    } else if (At(0) == '\\') {
      const bool is_set = At(1) == 'w' || At(1) == 'h';
      ASSIGN_OR_RETURN(const Escaped escaped, Escape());
      if (escaped.is_complement) {
        current->classes.push_back(escaped.text);
      } else {
        // Without the brackets that such a set has outside of a class.
        absl::StrAppend(&current->members,
                        is_set ? escaped.text.substr(1, escaped.text.size() - 2)
                               : escaped.text);
      }
    } else {
      current->members.push_back(At(0));
      ++pos_;
    }
    return absl::OkStatus();
  }

  // "[:alpha:]" or "[:^alpha:]".
  absl::Status Named(Union* current) {
    const size_t close = regex_.find(":]", pos_ + 2);
    if (close == absl::string_view::npos) {
      return Refuse("a named class without its end");
    }
    absl::string_view name = regex_.substr(pos_ + 2, close - pos_ - 2);
    const bool negated = absl::ConsumePrefix(&name, "^");
    for (const NamedSet& set : kNamedSets) {
      if (set.name != name) continue;
      pos_ = close + 2;
      if (negated) {
        current->classes.push_back(absl::StrCat("[^", set.members, "]"));
      } else {
        absl::StrAppend(&current->members, set.members);
      }
      return absl::OkStatus();
    }
    return Refuse(absl::StrCat("the class [:", name, ":]"));
  }

  // "(?m" means for Oniguruma what "(?s" means for PCRE2, whose own "m" is
  // always on.
  void Group() {
    open_groups_.push_back(result_.size());
    Copy(1);
    if (At(0) != '?') return;
    size_t end = pos_ + 1;
    while (end < regex_.size() && (regex_[end] == 'i' || regex_[end] == 'm' ||
                                   regex_[end] == 'x' || regex_[end] == '-')) {
      ++end;
    }
    if (end == pos_ + 1 || end == regex_.size() ||
        (regex_[end] != ':' && regex_[end] != ')')) {
      // The sign after "(?" is no quantifier.
      Copy(2);
      return;
    }
    for (; pos_ < end; ++pos_) {
      result_.push_back(At(0) == 'm' ? 's' : At(0));
    }
  }

  // "{1,3}+" repeats the interval in Ruby syntax; in PCRE2 it is possessive.
  void Interval() {
    size_t end = pos_ + 1;
    while (end < regex_.size() &&
           (IsDigit(regex_[end]) || regex_[end] == ',')) {
      ++end;
    }
    const bool is_interval =
        end > pos_ + 1 && end < regex_.size() && regex_[end] == '}' &&
        IsDigit(regex_[end - 1] == ',' ? regex_[pos_ + 1] : regex_[end - 1]);
    if (!is_interval) return Character();
    const bool repeats = regex_.substr(end + 1, 1) == "+";
    if (repeats) result_.insert(atom_, "(?:");
    Copy(1);
    if (At(0) == ',') result_.push_back('0');  // "{,3}": at most three
    Copy(end + 1 - pos_);
    if (!repeats) return;
    result_.push_back(')');
    Copy(1);
  }

  static constexpr int kMaxClassDepth = 16;

  const absl::string_view regex_;
  size_t pos_ = 0;
  std::string result_;
  size_t atom_ = 0;                  // where the last atom begins in result_
  std::vector<size_t> open_groups_;  // where they begin in result_
};

}  // namespace

absl::StatusOr<std::string> TranslateOniguruma(absl::string_view regex) {
  return Translator(regex).Run();
}

}  // namespace quantd
