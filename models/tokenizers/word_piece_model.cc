// The longest token first, from the left; a word that is not covered so is
// unknown as a whole.
//
// Source: Schuster and Nakajima, "Japanese and Korean voice search", 2012, in
// the form BERT's tokenizer gave it.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/json_text.h"
#include "models/tokenizers/byte_trie.h"
#include "models/tokenizers/token_model.h"
#include "models/tokenizers/vocabulary.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

constexpr int64_t kDefaultMaxCharacters = 100;
constexpr int64_t kMaxMaxCharacters = int64_t{1} << 30;

class WordPieceModel final : public TokenModel {
 public:
  WordPieceModel(Vocabulary vocabulary, absl::string_view prefix,
                 int32_t unknown_id, size_t max_characters)
      : vocabulary_(std::move(vocabulary)),
        unknown_id_(unknown_id),
        max_characters_(max_characters) {
    std::vector<ByteTrie::Key> first;
    std::vector<ByteTrie::Key> later;
    for (int32_t id = 0; id <= vocabulary_.max_id(); ++id) {
      const std::optional<absl::string_view> token = vocabulary_.TokenOf(id);
      if (!token) continue;
      first.emplace_back(*token, id);
      if (absl::StartsWith(*token, prefix)) {
        later.emplace_back(token->substr(prefix.size()), id);
      }
    }
    first_ = ByteTrie(std::move(first));
    later_ = ByteTrie(std::move(later));
  }

  void AppendIds(absl::string_view word,
                 std::vector<int32_t>* ids) const override {
    const size_t before = ids->size();
    size_t pos = TooLong(word) ? kUncovered : 0;
    while (pos < word.size()) {
      const ByteTrie::Match match =
          (pos == 0 ? first_ : later_).Longest(word, pos);
      if (match.length == 0) {
        pos = kUncovered;
        break;
      }
      ids->push_back(match.value);
      pos += match.length;
    }
    if (pos != kUncovered) return;
    ids->resize(before);
    ids->push_back(unknown_id_);
  }

  std::optional<absl::string_view> TokenOf(int32_t id) const override {
    return vocabulary_.TokenOf(id);
  }
  std::optional<int32_t> IdOf(absl::string_view token) const override {
    return vocabulary_.IdOf(token);
  }
  int32_t max_id() const override { return vocabulary_.max_id(); }

 private:
  static constexpr size_t kUncovered = static_cast<size_t>(-1);

  bool TooLong(absl::string_view word) const {
    if (word.size() <= max_characters_) return false;
    size_t characters = 0;
    for (const char c : word) {
      if ((static_cast<uint8_t>(c) & 0xC0) != 0x80) ++characters;
    }
    return characters > max_characters_;
  }

  const Vocabulary vocabulary_;
  const int32_t unknown_id_;
  const size_t max_characters_;
  ByteTrie first_;  // tokens that may begin a word
  ByteTrie later_;  // the others, without their prefix
};

}  // namespace

TokenModelOr NewWordPieceModel(const JsonReader& model) {
  ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::FromJson(model));
  ASSIGN_OR_RETURN(const std::string unknown,
                   model.GetStringOr("unk_token", "[UNK]"));
  const std::optional<int32_t> unknown_id = vocabulary.IdOf(unknown);
  if (!unknown_id) {
    return model.Fault("unk_token", absl::StrCat(Quoted(unknown),
                                                 " is not in the vocabulary"));
  }
  ASSIGN_OR_RETURN(const std::string prefix,
                   model.GetStringOr("continuing_subword_prefix", "##"));
  ASSIGN_OR_RETURN(const int64_t max_characters,
                   model.GetIntOr("max_input_chars_per_word",
                                  kDefaultMaxCharacters, 1, kMaxMaxCharacters));
  return std::make_unique<WordPieceModel>(std::move(vocabulary), prefix,
                                          *unknown_id,
                                          static_cast<size_t>(max_characters));
}

}  // namespace quantd
