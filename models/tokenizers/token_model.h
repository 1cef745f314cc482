// The part of a tokenizer that has the vocabulary and turns one word into ids.
//
// To add a family (Unigram, WordPiece, byte pairs over characters): one file
// with its class and factory, one row in token_model.cc.
//
// Immutable and thread-safe.
#ifndef QUANTD_MODELS_TOKENIZERS_TOKEN_MODEL_H_
#define QUANTD_MODELS_TOKENIZERS_TOKEN_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/json_text.h"

namespace quantd {

class TokenModel {
 public:
  virtual ~TokenModel() = default;

  // Appends the ids of one word as the pre-tokenizer cut it. The result
  // depends on the word alone. REQUIRES: valid UTF-8.
  virtual void AppendIds(absl::string_view word,
                         std::vector<int32_t>* ids) const = 0;

  // The text that `id` stands for, or nullopt when there is no such token. It
  // may be part of a character.
  virtual std::optional<absl::string_view> TextOf(int32_t id) const = 0;

  // The id of a token as the file writes it.
  virtual std::optional<int32_t> IdOf(absl::string_view token) const = 0;

  virtual int32_t max_id() const = 0;
};

// What a family sees of tokenizer.json.
struct TokenModelSource {
  JsonReader model;  // the member "model"
  // Words arrive as bytes, and the file writes tokens in the byte-level
  // alphabet.
  bool byte_level = false;
};

// The first family of the table whose type and form fit. Unimplemented names
// the model type when there is none; InvalidArgument what is wrong inside.
absl::StatusOr<std::unique_ptr<const TokenModel>> NewTokenModel(
    const JsonReader& file, bool byte_level);

// models/tokenizers/byte_pair_model.cc
absl::StatusOr<std::unique_ptr<const TokenModel>> NewBytePairModel(
    const TokenModelSource& source);

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_TOKEN_MODEL_H_
