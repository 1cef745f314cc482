#include "evaluators/tasks/template_token.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "models/json_text.h"

namespace quantd {
namespace {

using Kind = TemplateToken::Kind;

// Longest first.
constexpr absl::string_view kSymbols[] = {
    "==", "!=", "<=", ">=", "//", "(", ")", "[", "]", "{", "}", ",",
    ".",  ":",  "|",  "~",  "+",  "-", "*", "/", "%", "<", ">", "=",
};

class Tokenizer {
 public:
  explicit Tokenizer(absl::string_view text) : text_(text) {}

  absl::StatusOr<std::vector<TemplateToken>> Run() && {
    bool trim_next = false;
    while (at_ < text_.size()) {
      const size_t tag = FindTag();
      absl::string_view between = text_.substr(at_, tag - at_);
      const bool trim_before = tag + 2 < text_.size() && text_[tag + 2] == '-';
      if (trim_next) between = absl::StripLeadingAsciiWhitespace(between);
      if (trim_before) between = absl::StripTrailingAsciiWhitespace(between);
      if (!between.empty()) Emit(Kind::kText, std::string(between), at_);
      at_ = tag;
      if (at_ == text_.size()) break;
      ASSIGN_OR_RETURN(trim_next, Tag(trim_before));
    }
    Emit(Kind::kEnd, "", text_.size());
    return std::move(tokens_);
  }

 private:
  absl::Status Fault(size_t place, absl::string_view fault) const {
    return absl::InvalidArgumentError(
        absl::StrCat("character ", place + 1, ": ", fault));
  }

  void Emit(Kind kind, std::string text, size_t place) {
    tokens_.push_back({kind, std::move(text), place});
  }

  // The next "{{", "{%" or "{#", or the end.
  size_t FindTag() const {
    for (size_t at = text_.find('{', at_); at != absl::string_view::npos;
         at = text_.find('{', at + 1)) {
      if (at + 1 < text_.size() &&
          (text_[at + 1] == '{' || text_[at + 1] == '%' ||
           text_[at + 1] == '#')) {
        return at;
      }
    }
    return text_.size();
  }

  // Reads a tag; whether white space behind it is dropped.
  absl::StatusOr<bool> Tag(bool trim_before) {
    const size_t begin = at_;
    const char kind = text_[at_ + 1];
    at_ += trim_before ? 3 : 2;
    if (kind == '#') {
      const size_t end = text_.find("#}", at_);
      if (end == absl::string_view::npos) {
        return Fault(begin, "a comment {# is not closed");
      }
      const bool trim = end > at_ && text_[end - 1] == '-';
      at_ = end + 2;
      return trim;
    }
    const bool output = kind == '{';
    braces_ = 0;
    const absl::string_view close = output ? "}}" : "%}";
    Emit(output ? Kind::kOutputBegin : Kind::kStatementBegin, "", begin);
    while (true) {
      while (at_ < text_.size() && absl::ascii_isspace(text_[at_])) ++at_;
      const absl::string_view rest = text_.substr(at_);
      if (rest.empty()) {
        return Fault(begin, output ? "{{ is not closed" : "{% is not closed");
      }
      const bool trim =
          rest[0] == '-' && absl::StartsWith(rest.substr(1), close);
      if (braces_ == 0 && (trim || absl::StartsWith(rest, close))) {
        Emit(output ? Kind::kOutputEnd : Kind::kStatementEnd, "", at_);
        at_ += trim ? 3 : 2;
        return trim;
      }
      RETURN_IF_ERROR(Token());
    }
  }

  absl::Status Token() {
    const size_t begin = at_;
    const char c = text_[at_];
    if (c == '"' || c == '\'') return String(c);
    if (absl::ascii_isalpha(c) || c == '_') {
      while (at_ < text_.size() &&
             (absl::ascii_isalnum(text_[at_]) || text_[at_] == '_')) {
        ++at_;
      }
      Emit(Kind::kName, std::string(text_.substr(begin, at_ - begin)), begin);
      return absl::OkStatus();
    }
    if (absl::ascii_isdigit(c)) {
      const auto digits = [&] {
        while (at_ < text_.size() && absl::ascii_isdigit(text_[at_])) ++at_;
      };
      digits();
      if (at_ + 1 < text_.size() && text_[at_] == '.' &&
          absl::ascii_isdigit(text_[at_ + 1])) {
        ++at_;
        digits();
      }
      Emit(Kind::kNumber, std::string(text_.substr(begin, at_ - begin)), begin);
      return absl::OkStatus();
    }
    for (const absl::string_view symbol : kSymbols) {
      if (symbol == "}" && braces_ == 0) continue;
      if (absl::StartsWith(text_.substr(at_), symbol)) {
        if (symbol == "{") ++braces_;
        if (symbol == "}") --braces_;
        at_ += symbol.size();
        Emit(Kind::kSymbol, std::string(symbol), begin);
        return absl::OkStatus();
      }
    }
    size_t length = 0;
    DecodeUtf8(text_, at_, &length);
    return Fault(
        begin, absl::StrCat("unexpected ", Quoted(text_.substr(at_, length))));
  }

  // Escapes as in Python: what is not an escape keeps its backslash, so that
  // regular expressions need not double theirs.
  absl::Status String(char quote) {
    const size_t begin = at_++;
    std::string value;
    while (at_ < text_.size() && text_[at_] != quote) {
      const char c = text_[at_++];
      if (c != '\\' || at_ == text_.size()) {
        value.push_back(c);
        continue;
      }
      RETURN_IF_ERROR(Escape(begin, value));
    }
    if (at_ == text_.size()) return Fault(begin, "a string is not closed");
    ++at_;
    Emit(Kind::kString, std::move(value), begin);
    return absl::OkStatus();
  }

  absl::Status Escape(size_t begin, std::string& value) {
    const char c = text_[at_++];
    switch (c) {
      case 'n':
        value.push_back('\n');
        return absl::OkStatus();
      case 't':
        value.push_back('\t');
        return absl::OkStatus();
      case 'r':
        value.push_back('\r');
        return absl::OkStatus();
      case '\n':  // a continued line
        return absl::OkStatus();
      case '\\':
      case '\'':
      case '"':
        value.push_back(c);
        return absl::OkStatus();
      case 'x':
      case 'u': {
        const size_t digits = c == 'x' ? 2 : 4;
        uint32_t code = 0;
        const absl::string_view hex = text_.substr(at_, digits);
        const bool good =
            hex.size() == digits &&
            std::all_of(hex.begin(), hex.end(), absl::ascii_isxdigit) &&
            absl::SimpleHexAtoi(hex, &code);
        if (!good || (code >= 0xD800 && code < 0xE000)) {
          return Fault(begin, absl::StrCat("a string with a broken \\",
                                           absl::string_view(&c, 1)));
        }
        AppendUtf8(code, &value);
        at_ += digits;
        return absl::OkStatus();
      }
      default:
        value.push_back('\\');
        value.push_back(c);
        return absl::OkStatus();
    }
  }

  const absl::string_view text_;
  size_t at_ = 0;
  // Of objects in this tag that are open: }} ends it only outside of them.
  int braces_ = 0;
  std::vector<TemplateToken> tokens_;
};

}  // namespace

absl::StatusOr<std::vector<TemplateToken>> TokenizeTemplate(
    absl::string_view text) {
  return Tokenizer(text).Run();
}

}  // namespace quantd
