// The part of a tokenizer that has the vocabulary and turns one word into ids.
//
// To add a family: one file with its class and factory, one row in
// token_model.cc.
//
// Immutable and thread-safe.
#ifndef QUANTD_MODELS_TOKENIZERS_TOKEN_MODEL_H_
#define QUANTD_MODELS_TOKENIZERS_TOKEN_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/json_text.h"

namespace quantd {

class TokenModel {
 public:
  virtual ~TokenModel() = default;

  // Appends the ids of one word as the pre-tokenizer cut it. The result
  // depends on the word alone. REQUIRES: valid UTF-8, not empty.
  virtual void AppendIds(absl::string_view word,
                         std::vector<int32_t>* ids) const = 0;

  // Calls `sink` with consecutive parts of a word whose ids, one after the
  // other, are those of the word. A long word, or a text that no
  // pre-tokenizer cuts, falls into parts that repeat and can be remembered.
  virtual void VisitParts(
      absl::string_view word,
      absl::FunctionRef<void(absl::string_view)> sink) const {
    sink(word);
  }

  // The token of `id` as the file writes it, or nullopt when there is none.
  virtual std::optional<absl::string_view> TokenOf(int32_t id) const = 0;

  // The id of a token as the file writes it.
  virtual std::optional<int32_t> IdOf(absl::string_view token) const = 0;

  virtual int32_t max_id() const = 0;
};

// How words reach the model.
enum class WordForm {
  kText,   // as the file writes tokens
  kBytes,  // plain bytes, while the file writes them in the byte-level alphabet
};

// The family of "model.type" that takes words as `form`, or nullptr when it
// takes them otherwise only. Unimplemented names a model type that is not in
// the table; InvalidArgument what is wrong inside.
absl::StatusOr<std::unique_ptr<const TokenModel>> NewTokenModel(
    const JsonReader& file, WordForm form);

using TokenModelOr = absl::StatusOr<std::unique_ptr<const TokenModel>>;

// {"type": "BPE", "vocab": {}, "merges": ["a b"], ...}: over bytes, null if
// the file adds affixes or bytes as tokens; and over characters.
TokenModelOr NewBytePairModel(const JsonReader& model);
TokenModelOr NewCharacterPairModel(const JsonReader& model);
// {"type": "Unigram", "vocab": [["a", -1.5]], "unk_id": 0,
//  "byte_fallback": false}
TokenModelOr NewUnigramModel(const JsonReader& model);
// {"type": "WordPiece", "vocab": {}, "unk_token": "[UNK]",
//  "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
TokenModelOr NewWordPieceModel(const JsonReader& model);
// {"type": "WordLevel", "vocab": {}, "unk_token": "<unk>"}
TokenModelOr NewWordLevelModel(const JsonReader& model);

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_TOKEN_MODEL_H_
