// Byte pair encoding over characters: converted SentencePiece models, and
// older vocabularies that mark the inside or the end of words with affixes.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "models/tokenizers/byte_pair_file.h"
#include "models/tokenizers/byte_pair_merger.h"
#include "models/tokenizers/character_class.h"
#include "models/tokenizers/safe_cuts.h"
#include "models/tokenizers/token_model.h"
#include "models/tokenizers/vocabulary.h"

namespace quantd {
namespace {

constexpr int32_t kNoToken = -1;

class CharacterPairModel final : public TokenModel {
 public:
  static TokenModelOr Create(const JsonReader& reader) {
    RETURN_IF_ERROR(RefuseDropout(reader));
    std::unique_ptr<CharacterPairModel> model(new CharacterPairModel);
    ASSIGN_OR_RETURN(model->prefix_,
                     reader.GetStringOr("continuing_subword_prefix", ""));
    ASSIGN_OR_RETURN(model->suffix_,
                     reader.GetStringOr("end_of_word_suffix", ""));
    ASSIGN_OR_RETURN(model->ignore_merges_,
                     reader.GetBoolOr("ignore_merges", false));
    ASSIGN_OR_RETURN(model->vocabulary_, Vocabulary::FromJson(reader));
    RETURN_IF_ERROR(model->ReadUnknownPolicy(reader));
    model->FillCharacters();
    RETURN_IF_ERROR(ReadMerges(
        reader, model->vocabulary_, model->prefix_.size(),
        [&model](absl::string_view left, absl::string_view right) {
          model->NoteMerge(left, right);
        },
        &model->merger_));
    return model;
  }

  void AppendIds(absl::string_view word,
                 std::vector<int32_t>* ids) const override {
    if (ignore_merges_) {
      if (const std::optional<int32_t> id = vocabulary_.IdOf(word)) {
        ids->push_back(*id);
        return;
      }
    }
    Symbols symbols;
    FillSymbols(word, &symbols);
    const size_t count = merger_.Run(absl::MakeSpan(symbols));
    ids->insert(ids->end(), symbols.begin(),
                symbols.begin() + static_cast<ptrdiff_t>(count));
  }

  void VisitParts(
      absl::string_view word,
      absl::FunctionRef<void(absl::string_view)> sink) const override {
    if (!can_cut_) return sink(word);
    cuts_.VisitParts(word, sink);
  }

  std::optional<absl::string_view> TokenOf(int32_t id) const override {
    return vocabulary_.TokenOf(id);
  }
  std::optional<int32_t> IdOf(absl::string_view token) const override {
    return vocabulary_.IdOf(token);
  }
  int32_t max_id() const override { return vocabulary_.max_id(); }

 private:
  using Symbols = absl::InlinedVector<int32_t, BytePairMerger::kScanLimit>;

  CharacterPairModel() { ascii_.fill(kNoToken); }

  absl::Status ReadUnknownPolicy(const JsonReader& reader) {
    ASSIGN_OR_RETURN(fuse_unknown_, reader.GetBoolOr("fuse_unk", false));
    ASSIGN_OR_RETURN(const bool byte_fallback,
                     reader.GetBoolOr("byte_fallback", false));
    if (byte_fallback) bytes_.emplace(vocabulary_);
    if (bytes_ && bytes_->complete()) cuts_.AllowUnknown();
    ASSIGN_OR_RETURN(const std::optional<int32_t> unknown,
                     vocabulary_.ReadToken(reader, "unk_token"));
    unknown_id_ = unknown.value_or(kNoToken);
    return absl::OkStatus();
  }

  void FillCharacters() {
    for (int32_t id = 0; id <= vocabulary_.max_id(); ++id) {
      const std::optional<absl::string_view> token = vocabulary_.TokenOf(id);
      if (!token || token->empty()) continue;
      size_t length = 0;
      const char32_t c = DecodeUtf8(*token, 0, &length);
      if (length != token->size()) continue;
      cuts_.AddCharacter(c);
      if (c < ascii_.size()) {
        ascii_[c] = id;
      } else {
        other_.emplace(c, id);
      }
    }
    // Where unknown characters are left out, their neighbours may merge.
    const bool keeps_all =
        unknown_id_ != kNoToken || (bytes_ && bytes_->complete());
    can_cut_ =
        prefix_.empty() && suffix_.empty() && !ignore_merges_ && keeps_all;
  }

  // A cut is safe where no merge can reach across it. Tokens that stand for
  // other text than they spell would escape that reckoning.
  void NoteMerge(absl::string_view left, absl::string_view right) {
    for (const absl::string_view token : {left, right}) {
      const bool is_byte = bytes_ && ByteTokens::ByteOf(token).has_value();
      if (is_byte || vocabulary_.IdOf(token) == unknown_id_) can_cut_ = false;
    }
    if (can_cut_) cuts_.AddMerge(left, right);
  }

  int32_t IdOfCharacter(absl::string_view word, size_t pos,
                        size_t length) const {
    if (prefix_.empty() && suffix_.empty()) {
      const char32_t c = DecodeUtf8(word, pos, &length);
      if (c < ascii_.size()) return ascii_[c];
      const auto id = other_.find(c);
      return id == other_.end() ? kNoToken : id->second;
    }
    return vocabulary_.IdOf(WithAffixes(word, pos, length)).value_or(kNoToken);
  }

  // A character as the vocabulary has it at this place of a word.
  std::string WithAffixes(absl::string_view word, size_t pos,
                          size_t length) const {
    return absl::StrCat(pos > 0 ? prefix_ : "", word.substr(pos, length),
                        pos + length == word.size() ? suffix_ : "");
  }

  // One symbol per character, or one per byte of an unknown one, or one for a
  // run of unknown ones.
  void FillSymbols(absl::string_view word, Symbols* symbols) const {
    symbols->reserve(word.size());
    // An unknown token is held back: the bytes of a later character overtake
    // it, as they do in the reference.
    bool pending = false;
    size_t length = 0;
    for (size_t pos = 0; pos < word.size(); pos += length) {
      DecodeUtf8(word, pos, &length);
      const int32_t id = IdOfCharacter(word, pos, length);
      if (id != kNoToken) {
        if (std::exchange(pending, false)) symbols->push_back(unknown_id_);
        symbols->push_back(id);
        continue;
      }
      if (bytes_ && bytes_->Append(WithAffixes(word, pos, length), symbols)) {
        continue;
      }
      if (unknown_id_ == kNoToken) continue;
      if (pending && !fuse_unknown_) symbols->push_back(unknown_id_);
      pending = true;
    }
    if (pending) symbols->push_back(unknown_id_);
  }

  Vocabulary vocabulary_;
  BytePairMerger merger_;
  std::string prefix_;  // of tokens that do not begin a word
  std::string suffix_;  // of tokens that end a word
  std::array<int32_t, 128> ascii_;
  absl::flat_hash_map<char32_t, int32_t> other_;
  std::optional<ByteTokens> bytes_;  // with byte_fallback
  int32_t unknown_id_ = kNoToken;    // none: unknown characters are left out
  bool fuse_unknown_ = false;
  bool ignore_merges_ = false;
  SafeCuts cuts_;
  bool can_cut_ = false;
};

}  // namespace

TokenModelOr NewCharacterPairModel(const JsonReader& model) {
  return CharacterPairModel::Create(model);
}

}  // namespace quantd
