// A tokenizer read from a Hugging Face tokenizer.json.
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
  // ResourceExhausted when it is over 1 GiB or makes a pattern of the
  // tokenizer backtrack without end.
  virtual absl::StatusOr<std::vector<int32_t>> Encode(
      absl::string_view text) const = 0;

  // The text of `ids`, always UTF-8: bytes that form no whole character become
  // U+FFFD. OutOfRange when an id is not in the vocabulary.
  virtual absl::StatusOr<std::string> Decode(
      absl::Span<const int32_t> ids) const = 0;

  virtual int vocabulary_size() const = 0;

  // Beginning-of-sequence id: bos_token of tokenizer_config.json, else
  // bos_token_id of config.json, else what the post-processor puts first. The
  // end-of-sequence id likewise, without the last.
  virtual std::optional<int32_t> bos_id() const = 0;
  virtual std::optional<int32_t> eos_id() const = 0;
  // Whether the tokenizer itself puts BOS before every text
  // (add_bos_token, or a post-processor that does).
  virtual bool adds_bos() const = 0;

  // SHA-256 of tokenizer.json.
  virtual const std::string& digest() const = 0;
};

// Reads tokenizer.json and tokenizer_config.json (optional) from a checkpoint
// directory. NotFound when tokenizer.json is missing; InvalidArgument names
// the file, the JSON path and the fault; Unimplemented names a model type,
// normalizer or pre-tokenizer that this build has not.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(
    const std::string& directory);

// The same from the texts of the two files; `config` may be empty.
absl::StatusOr<std::unique_ptr<Tokenizer>> ParseTokenizer(
    absl::string_view tokenizer_json, absl::string_view config);

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZER_H_
