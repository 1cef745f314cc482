// The Tokenizer made of the parts a tokenizer.json describes:
//
//   text -> added tokens -> normalizer -> added tokens (normalized ones)
//        -> pre-tokenizer -> model -> ids
//   ids  -> tokens -> decoder -> text
//
// Thread-safe.
#ifndef QUANTD_MODELS_TOKENIZERS_PIPELINE_TOKENIZER_H_
#define QUANTD_MODELS_TOKENIZERS_PIPELINE_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/json_text.h"
#include "models/tokenizers/added_tokens.h"
#include "models/tokenizers/normalizer.h"
#include "models/tokenizers/pre_tokenizer.h"
#include "models/tokenizers/token_decoder.h"
#include "models/tokenizers/token_model.h"
#include "models/tokenizers/tokenizer_base.h"

namespace quantd {

class PipelineTokenizer final : public TokenizerBase {
 public:
  // `file` is the parsed tokenizer.json.
  static absl::StatusOr<std::unique_ptr<PipelineTokenizer>> Create(
      const JsonReader& file, std::string digest);

  std::optional<int32_t> IdOf(absl::string_view token) const override;
  bool HasId(int32_t id) const override;
  absl::StatusOr<std::vector<int32_t>> Encode(
      absl::string_view text) const override;
  absl::StatusOr<std::string> Decode(
      absl::Span<const int32_t> ids) const override;
  int vocabulary_size() const override { return vocabulary_size_; }

 private:
  class Encoding;
  struct Parts {
    Normalizer normalizer;
    PreTokenizer pre_tokenizer;
    std::unique_ptr<const TokenModel> model;
    TokenDecoder decoder;
    std::vector<AddedToken> verbatim;    // sought in the text as given
    std::vector<AddedToken> normalized;  // sought in the normalized text
  };

  PipelineTokenizer(Parts parts, std::string digest);

  const Normalizer normalizer_;
  const PreTokenizer pre_tokenizer_;
  const std::unique_ptr<const TokenModel> model_;
  const TokenDecoder decoder_;
  const AddedTokenMatcher verbatim_matcher_;
  const AddedTokenMatcher normalized_matcher_;
  absl::flat_hash_map<int32_t, std::string> added_text_of_;
  absl::flat_hash_map<std::string, int32_t> added_id_of_;
  int vocabulary_size_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_PIPELINE_TOKENIZER_H_
