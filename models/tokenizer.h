// A tokenizer read from a Hugging Face tokenizer.json or from SentencePiece's
// tokenizer.model.
//
//   ASSIGN_OR_RETURN(auto tokenizer, LoadTokenizer(directory));
//   ASSIGN_OR_RETURN(std::vector<int32_t> ids, tokenizer->Encode(text));
//
// Immutable and thread-safe after loading.
#ifndef QUANTD_MODELS_TOKENIZER_H_
#define QUANTD_MODELS_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace quantd {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Ids of `text` without special tokens being added (added tokens that occur
  // in the text are recognised). InvalidArgument when the text is not UTF-8;
  // ResourceExhausted when it is over 1 GiB, before or after normalization, or
  // makes a pattern of the tokenizer backtrack without end.
  virtual absl::StatusOr<std::vector<int32_t>> Encode(
      absl::string_view text) const = 0;

  // The same with leading_id() before it, if there is one: how a document
  // begins for a model that was trained with this tokenizer.
  absl::StatusOr<std::vector<int32_t>> EncodeWithBos(
      absl::string_view text) const;

  // The same with all special tokens around it that the file's own
  // post-processor puts around a single text.
  virtual absl::StatusOr<std::vector<int32_t>> EncodeWithSpecialTokens(
      absl::string_view text) const = 0;

  // The text of `ids`, always UTF-8: bytes that form no whole character become
  // U+FFFD. Special tokens appear with their names, but for SentencePiece's
  // control pieces, which have no text. OutOfRange when an id is not in the
  // vocabulary.
  virtual absl::StatusOr<std::string> Decode(
      absl::Span<const int32_t> ids) const = 0;

  virtual int vocabulary_size() const = 0;

  // Beginning-of-sequence id: bos_token of tokenizer_config.json, else
  // bos_token_id of config.json, else what tokenizer.model says, else what the
  // post-processor puts first. The end-of-sequence id likewise, without the
  // last.
  virtual std::optional<int32_t> bos_id() const = 0;
  virtual std::optional<int32_t> eos_id() const = 0;
  // What the tokenizer itself puts before every text, if anything: what the
  // post-processor puts first, else the BOS if add_bos_token asks for it;
  // nothing if add_bos_token is false. It is the BOS but for a few models.
  virtual std::optional<int32_t> leading_id() const = 0;
  bool adds_bos() const { return leading_id().has_value(); }

  // What stands where a model is to predict the first token of a text that has
  // nothing before it: the BOS, else the EOS, whatever the tokenizer itself
  // puts before a text (lm-evaluation-harness, prefix_token_id).
  // InvalidArgument when it has neither.
  absl::StatusOr<int32_t> PrefixToken() const;

  // SHA-256 of tokenizer.json, or of tokenizer.model where that was read.
  virtual const std::string& digest() const = 0;
};

// Reads tokenizer.json, or else tokenizer.model, and tokenizer_config.json and
// config.json (optional) from a checkpoint directory. NotFound when both of
// the former are missing; InvalidArgument names the file, the place inside and
// the fault; Unimplemented names a model type, normalizer, pre-tokenizer,
// post-processor or decoder that this build has not.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(
    const std::string& directory);

// The same from the texts of tokenizer.json and tokenizer_config.json; `config`
// may be empty.
absl::StatusOr<std::unique_ptr<Tokenizer>> ParseTokenizer(
    absl::string_view tokenizer_json, absl::string_view config);

// The same from the bytes of tokenizer.model.
absl::StatusOr<std::unique_ptr<Tokenizer>> ParseSentencePieceTokenizer(
    absl::string_view tokenizer_model, absl::string_view config);

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZER_H_
