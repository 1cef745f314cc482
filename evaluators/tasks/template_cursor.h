// Where the parser of templates stands in their tokens: looking, taking, and
// the errors that say where.
#ifndef QUANTD_EVALUATORS_TASKS_TEMPLATE_CURSOR_H_
#define QUANTD_EVALUATORS_TASKS_TEMPLATE_CURSOR_H_

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "evaluators/tasks/template_token.h"
#include "models/json_text.h"

namespace quantd {

class TemplateCursor {
 public:
  using TokenKind = TemplateToken::Kind;

  // `tokens` end with a kEnd, which is never taken.
  explicit TemplateCursor(std::vector<TemplateToken> tokens)
      : tokens_(std::move(tokens)) {}

  const TemplateToken& Peek() const { return tokens_[at_]; }

  // What follows the next token; the end behind the end.
  const TemplateToken& Ahead() const {
    return tokens_[std::min(at_ + 1, tokens_.size() - 1)];
  }
  TemplateToken Take() {
    return Peek().kind == TokenKind::kEnd ? Peek() : tokens_[at_++];
  }

  absl::Status Fault(absl::string_view fault) const {
    return absl::InvalidArgumentError(
        absl::StrCat("character ", Peek().place + 1, ": ", fault));
  }

  std::string Here() const {
    switch (Peek().kind) {
      case TokenKind::kEnd:
        return "the end";
      case TokenKind::kOutputEnd:
        return "}}";
      case TokenKind::kStatementEnd:
        return "%}";
      default:
        return Quoted(Peek().text);
    }
  }

  absl::Status Expected(absl::string_view what) const {
    return Fault(absl::StrCat("expected ", what, ", got ", Here()));
  }

  bool IsSymbol(absl::string_view symbol) const {
    return Peek().kind == TokenKind::kSymbol && Peek().text == symbol;
  }
  bool IsWord(absl::string_view word) const {
    return Peek().kind == TokenKind::kName && Peek().text == word;
  }
  bool TakeSymbol(absl::string_view symbol) {
    if (!IsSymbol(symbol)) return false;
    ++at_;
    return true;
  }
  bool TakeWord(absl::string_view word) {
    if (!IsWord(word)) return false;
    ++at_;
    return true;
  }
  absl::Status NeedSymbol(absl::string_view symbol) {
    return TakeSymbol(symbol) ? absl::OkStatus() : Expected(Quoted(symbol));
  }
  absl::Status NeedEnd(TokenKind kind) {
    if (Peek().kind != kind) {
      return Expected(kind == TokenKind::kOutputEnd ? "}}" : "%}");
    }
    ++at_;
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> Name(absl::string_view what) {
    if (Peek().kind != TokenKind::kName ||
        std::count(std::begin(kKeywords), std::end(kKeywords), Peek().text)) {
      return Expected(what);
    }
    return tokens_[at_++].text;
  }

  // Whether here is {% word ...
  bool IsStatement(absl::string_view word) const {
    return Peek().kind == TokenKind::kStatementBegin &&
           Ahead().kind == TokenKind::kName && Ahead().text == word;
  }

  bool TakeStatement(absl::string_view word) {
    if (!IsStatement(word)) return false;
    at_ += 2;
    return true;
  }

  std::string TakeAnySymbol(std::initializer_list<absl::string_view> symbols) {
    for (const absl::string_view symbol : symbols) {
      if (TakeSymbol(symbol)) return std::string(symbol);
    }
    return "";
  }

 private:
  // Words that are no names.
  static constexpr absl::string_view kKeywords[] = {
      "and", "or",   "not",  "in",    "is",   "if",   "else",
      "for", "true", "True", "false", "none", "None", "False"};

  std::vector<TemplateToken> tokens_;
  size_t at_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_TEMPLATE_CURSOR_H_
