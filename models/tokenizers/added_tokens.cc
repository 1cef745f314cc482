#include "models/tokenizers/added_tokens.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "models/tokenizers/character_class.h"
#include "models/tokenizers/vocabulary.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

bool WordCharacterBefore(absl::string_view text, size_t pos) {
  if (pos == 0) return false;
  size_t length;
  return IsWordCharacter(
      DecodeUtf8(text, PreviousCharacter(text, pos), &length));
}

bool WordCharacterAt(absl::string_view text, size_t pos) {
  if (pos == text.size()) return false;
  size_t length;
  return IsWordCharacter(DecodeUtf8(text, pos, &length));
}

size_t SkipWhiteSpaceBack(absl::string_view text, size_t pos, size_t floor) {
  while (pos > floor) {
    size_t length;
    const size_t previous = PreviousCharacter(text, pos);
    if (!IsWhiteSpace(DecodeUtf8(text, previous, &length))) break;
    pos = previous;
  }
  return pos;
}

size_t SkipWhiteSpace(absl::string_view text, size_t pos) {
  while (pos < text.size()) {
    size_t length;
    if (!IsWhiteSpace(DecodeUtf8(text, pos, &length))) break;
    pos += length;
  }
  return pos;
}

}  // namespace

absl::StatusOr<std::vector<AddedToken>> ReadAddedTokens(
    const JsonReader& file) {
  std::vector<AddedToken> tokens;
  if (!file.Has("added_tokens")) return tokens;
  ASSIGN_OR_RETURN(const nlohmann::json* entries,
                   file.GetArray("added_tokens"));
  std::set<int32_t> ids;
  std::set<std::string> contents;
  for (size_t i = 0; i < entries->size(); ++i) {
    ASSIGN_OR_RETURN(
        const JsonReader entry,
        JsonReader::Of((*entries)[i], file.origin(),
                       absl::StrCat(file.PathOf("added_tokens"), "[", i, "]")));
    AddedToken token;
    ASSIGN_OR_RETURN(const int64_t id, entry.GetInt("id", 0, kMaxTokenId));
    token.id = static_cast<int32_t>(id);
    ASSIGN_OR_RETURN(token.content, entry.GetString("content"));
    ASSIGN_OR_RETURN(token.special, entry.GetBoolOr("special", false));
    ASSIGN_OR_RETURN(token.lstrip, entry.GetBoolOr("lstrip", false));
    ASSIGN_OR_RETURN(token.rstrip, entry.GetBoolOr("rstrip", false));
    ASSIGN_OR_RETURN(token.single_word, entry.GetBoolOr("single_word", false));
    ASSIGN_OR_RETURN(token.normalized,
                     entry.GetBoolOr("normalized", !token.special));
    if (token.content.empty()) return entry.Fault("content", "empty");
    if (!ids.insert(token.id).second) {
      return entry.Fault(
          "id", absl::StrCat(token.id, " belongs to an earlier entry"));
    }
    if (!contents.insert(token.content).second) {
      return entry.Fault("content", absl::StrCat(Quoted(token.content),
                                                 " is an earlier entry"));
    }
    tokens.push_back(std::move(token));
  }
  return tokens;
}

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)), token_at_(1, -1) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    uint32_t node = 0;
    for (const char c : tokens_[i].content) {
      const uint64_t key = uint64_t{node} << 8 | static_cast<uint8_t>(c);
      const auto [child, is_new] =
          children_.emplace(key, static_cast<uint32_t>(token_at_.size()));
      if (is_new) token_at_.push_back(-1);
      node = child->second;
    }
    if (token_at_[node] < 0) token_at_[node] = static_cast<int32_t>(i);
    starts_[static_cast<uint8_t>(tokens_[i].content[0])] = true;
  }
}

const AddedToken* AddedTokenMatcher::LongestAt(absl::string_view text,
                                               size_t pos) const {
  const AddedToken* longest = nullptr;
  uint32_t node = 0;
  for (; pos < text.size(); ++pos) {
    const auto child =
        children_.find(uint64_t{node} << 8 | static_cast<uint8_t>(text[pos]));
    if (child == children_.end()) break;
    node = child->second;
    if (token_at_[node] >= 0) {
      longest = &tokens_[static_cast<size_t>(token_at_[node])];
    }
  }
  return longest;
}

absl::Status AddedTokenMatcher::Cut(absl::string_view text, Sink sink) const {
  size_t done = 0;  // everything before it went to the sink
  size_t pos = 0;
  while (!tokens_.empty() && pos < text.size()) {
    if (!starts_[static_cast<uint8_t>(text[pos])]) {
      ++pos;
      continue;
    }
    const AddedToken* token = LongestAt(text, pos);
    if (token == nullptr) {
      ++pos;
      continue;
    }
    size_t begin = pos;
    size_t end = pos + token->content.size();
    // A refused match still hides the shorter ones inside it, as in the
    // reference.
    pos = end;
    if (token->single_word &&
        (WordCharacterBefore(text, begin) || WordCharacterAt(text, end))) {
      continue;
    }
    if (token->lstrip) begin = SkipWhiteSpaceBack(text, begin, done);
    if (token->rstrip) end = pos = SkipWhiteSpace(text, end);
    if (begin > done) {
      RETURN_IF_ERROR(sink(text.substr(done, begin - done), nullptr));
    }
    RETURN_IF_ERROR(sink(text.substr(begin, end - begin), token));
    done = end;
  }
  if (done < text.size()) return sink(text.substr(done), nullptr);
  return absl::OkStatus();
}

}  // namespace quantd
