#include "evaluators/text_metrics/answer_extraction.h"

#include <re2/re2.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "evaluators/text_metrics/units.h"
#include "models/json_text.h"

namespace quantd {
namespace {

template <typename Predicate>
std::string Without(absl::string_view text, Predicate predicate) {
  std::string kept;
  kept.reserve(text.size());
  for (char c : text) {
    if (!predicate(static_cast<unsigned char>(c))) kept.push_back(c);
  }
  return kept;
}

bool IsArticle(absl::string_view word) {
  for (absl::string_view article : {"a", "an", "the"}) {
    if (absl::EqualsIgnoreCase(word, article)) return true;
  }
  return false;
}

// Words are runs of ASCII letters and digits and of all that is not ASCII, as
// \b sees them; what is between stays.
std::string WithoutArticles(absl::string_view text) {
  std::string kept;
  size_t pos = 0;
  while (pos < text.size()) {
    size_t end = pos;
    while (end < text.size() &&
           (absl::ascii_isalnum(static_cast<unsigned char>(text[end])) ||
            text[end] == '_' ||
            static_cast<unsigned char>(text[end]) >= 0x80)) {
      ++end;
    }
    if (end == pos) {
      kept.push_back(text[pos++]);
      continue;
    }
    const absl::string_view word = text.substr(pos, end - pos);
    // A blank in its place keeps its neighbours apart.
    absl::StrAppend(&kept, IsArticle(word) ? " " : word);
    pos = end;
  }
  return kept;
}

re2::StringPiece Piece(absl::string_view text) {
  return re2::StringPiece(text.data(), text.size());
}

}  // namespace

std::string NormalizeAnswer(absl::string_view answer,
                            const AnswerNormalization& normalization) {
  std::string text = ReplaceInvalidUtf8(answer);
  if (normalization.lowercase) text = Lowercase(text);
  if (normalization.drop_punctuation) {
    text = Without(text, absl::ascii_ispunct);
  }
  if (normalization.drop_articles) text = WithoutArticles(text);
  if (normalization.drop_digits) text = Without(text, absl::ascii_isdigit);
  if (normalization.collapse_white_space) {
    text = absl::StrJoin(SplitOnWhiteSpace(text), " ");
  }
  return text;
}

absl::StatusOr<std::shared_ptr<const re2::RE2>> CompilePattern(
    absl::string_view pattern) {
  auto compiled =
      std::make_shared<const re2::RE2>(Piece(pattern), re2::RE2::Quiet);
  if (compiled->ok()) return compiled;
  return absl::InvalidArgumentError(absl::StrCat(
      "pattern ", Quoted(pattern), ": ", EscapeInvalidUtf8(compiled->error())));
}

absl::StatusOr<RegexFilter> RegexFilter::Create(absl::string_view pattern,
                                                int match) {
  ASSIGN_OR_RETURN(std::shared_ptr<const re2::RE2> compiled,
                   CompilePattern(pattern));
  return RegexFilter(std::move(compiled), match);
}

std::optional<std::string> RegexFilter::Apply(absl::string_view text) const {
  const std::string valid = ReplaceInvalidUtf8(text);
  const re2::StringPiece input(valid);
  std::vector<re2::StringPiece> groups(
      static_cast<size_t>(pattern_->NumberOfCapturingGroups()) + 1);
  // Of every match so far; nothing where all of several groups are empty.
  std::vector<std::optional<absl::string_view>> answers;
  size_t pos = 0;
  while (pos <= input.size() &&
         pattern_->Match(input, pos, input.size(), re2::RE2::UNANCHORED,
                         groups.data(), static_cast<int>(groups.size()))) {
    const auto begin = groups.begin() + (groups.size() > 1 ? 1 : 0);
    const auto chosen =
        groups.size() > 2
            ? std::find_if(begin, groups.end(),
                           [](const auto& group) { return !group.empty(); })
            : begin;
    if (chosen == groups.end()) {
      answers.push_back(std::nullopt);
    } else {
      answers.push_back(absl::string_view(chosen->data(), chosen->size()));
    }
    if (match_ >= 0 && answers.size() > static_cast<size_t>(match_)) break;
    pos =
        static_cast<size_t>(groups[0].data() - input.data()) + groups[0].size();
    if (!groups[0].empty()) continue;
    // Past the next character, or the empty match would come for ever.
    size_t length = 1;
    if (pos < valid.size()) DecodeUtf8(valid, pos, &length);
    pos += length;
  }
  const int64_t count = static_cast<int64_t>(answers.size());
  const int64_t at = match_ < 0 ? count + match_ : match_;
  if (at < 0 || at >= count) return std::nullopt;
  const std::optional<absl::string_view> answer =
      answers[static_cast<size_t>(at)];
  if (!answer.has_value()) return std::nullopt;
  // \C, which takes a byte, may have cut a character.
  return ReplaceInvalidUtf8(absl::StripAsciiWhitespace(*answer));
}

}  // namespace quantd
