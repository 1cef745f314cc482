// TranslateOniguruma(): one pass over the pattern that rewrites escapes and
// option letters and refuses what PCRE2 would read differently. It does not
// check the syntax; PCRE2 does that on the result.
#include <algorithm>
#include <cctype>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/tokenizers/pattern.h"

namespace quantd {
namespace {

// Unicode's definition of a word character, as Oniguruma generates it.
constexpr absl::string_view kWordSet = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
constexpr absl::string_view kHexSet = "0-9a-fA-F";

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
      const char c = regex_[pos_];
      if (c == '\\') {
        RETURN_IF_ERROR(Escape());
      } else if (in_class_) {
        RETURN_IF_ERROR(ClassCharacter());
      } else if (c == '[') {
        OpenClass();
      } else if (c == '(') {
        Group();
      } else if (c == '{') {
        RETURN_IF_ERROR(Interval());
      } else {
        Copy(1);
      }
    }
    return std::move(result_);
  }

 private:
  char At(size_t offset) const {
    return pos_ + offset < regex_.size() ? regex_[pos_ + offset] : '\0';
  }

  void Copy(size_t count) {
    count = std::min(count, regex_.size() - pos_);
    result_.append(regex_.data() + pos_, count);
    pos_ += count;
  }

  void Replace(size_t count, absl::string_view text) {
    absl::StrAppend(&result_, text);
    pos_ += count;
  }

  // A set, or its complement, given as the inside of a character class.
  absl::Status Set(absl::string_view members, bool negated,
                   absl::string_view name) {
    if (in_class_ && negated) {
      return Refuse(absl::StrCat(name, " inside a character class"));
    }
    if (in_class_) {
      Replace(2, members);
    } else {
      Replace(2, absl::StrCat(negated ? "[^" : "[", members, "]"));
    }
    return absl::OkStatus();
  }

  absl::Status Escape() {
    switch (At(1)) {
      case 's':
        Replace(2, "\\p{White_Space}");
        return absl::OkStatus();
      case 'S':
        Replace(2, "\\P{White_Space}");
        return absl::OkStatus();
      case 'w':
        return Set(kWordSet, false, "\\w");
      case 'W':
        return Set(kWordSet, true, "\\W");
      case 'h':
        return Set(kHexSet, false, "\\h");
      case 'H':
        return Set(kHexSet, true, "\\H");
      case 'p':
      case 'P':
        Property();
        return absl::OkStatus();
      case 'u':
        return CodePoint();
      case 'Q':
      case 'E':
      case 'N':
      case 'O':
      case 'C':
        return Refuse(absl::StrCat("\\", std::string(1, At(1))));
      default:
        Copy(2);
        return absl::OkStatus();
    }
  }

  // \p{Han}: PCRE2 tests the script extensions unless told otherwise.
  // General categories have one or two letters, optionally after a '^'.
  void Property() {
    const size_t close = regex_.find('}', pos_);
    if (At(2) != '{' || close == absl::string_view::npos) {
      Copy(2);
      return;
    }
    absl::string_view name = regex_.substr(pos_ + 3, close - pos_ - 3);
    const bool negated = !name.empty() && name[0] == '^';
    if (negated) name.remove_prefix(1);
    const std::string script = absl::StrCat(
        "\\", std::string(1, At(1)), "{", negated ? "^" : "", "sc:", name, "}");
    const bool is_script =
        name.size() > 2 &&
        Pattern::CompilePcre2(absl::StrCat("\\p{sc:", name, "}")).ok();
    if (is_script) {
      Replace(close + 1 - pos_, script);
    } else {
      Copy(close + 1 - pos_);
    }
  }

  absl::Status CodePoint() {
    for (size_t i = 2; i < 6; ++i) {
      if (!std::isxdigit(static_cast<unsigned char>(At(i)))) {
        return Refuse("\\u without four hexadecimal digits");
      }
    }
    Replace(6, absl::StrCat("\\x{", regex_.substr(pos_ + 2, 4), "}"));
    return absl::OkStatus();
  }

  void OpenClass() {
    in_class_ = true;
    Copy(1);
    if (At(0) == '^') Copy(1);
    if (At(0) == ']') Copy(1);  // a literal when it comes first
  }

  absl::Status ClassCharacter() {
    const char c = At(0);
    if (c == '[') {
      if (At(1) != ':') return Refuse("a nested character class");
      const size_t close = regex_.find(":]", pos_ + 2);
      if (close == absl::string_view::npos) {
        return Refuse("a nested character class");
      }
      Copy(close + 2 - pos_);
      return absl::OkStatus();
    }
    if (c == '&' && At(1) == '&') {
      return Refuse("an intersection of character classes");
    }
    if (c == ']') in_class_ = false;
    Copy(1);
    return absl::OkStatus();
  }

  // "(?m" means for Oniguruma what "(?s" means for PCRE2, whose own "m" is
  // always on.
  void Group() {
    Copy(1);
    if (At(0) != '?') return;
    size_t end = pos_ + 1;
    while (end < regex_.size() && (regex_[end] == 'i' || regex_[end] == 'm' ||
                                   regex_[end] == 'x' || regex_[end] == '-')) {
      ++end;
    }
    if (end == pos_ + 1 || end == regex_.size() ||
        (regex_[end] != ':' && regex_[end] != ')')) {
      return;
    }
    while (pos_ <= end) {
      if (At(0) == 'm') {
        Replace(1, "s");
      } else {
        Copy(1);
      }
    }
  }

  // "{1,3}+" repeats greedily in Ruby syntax and possessively in PCRE2.
  absl::Status Interval() {
    size_t end = pos_ + 1;
    while (end < regex_.size() &&
           (IsDigit(regex_[end]) || regex_[end] == ',')) {
      ++end;
    }
    if (end + 1 < regex_.size() && end > pos_ + 1 && regex_[end] == '}' &&
        regex_[end + 1] == '+') {
      return Refuse("a \"+\" behind an interval");
    }
    Copy(1);
    return absl::OkStatus();
  }

  const absl::string_view regex_;
  size_t pos_ = 0;
  bool in_class_ = false;
  std::string result_;
};

}  // namespace

absl::StatusOr<std::string> TranslateOniguruma(absl::string_view regex) {
  return Translator(regex).Run();
}

}  // namespace quantd
