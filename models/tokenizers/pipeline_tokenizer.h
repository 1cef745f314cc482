// The Tokenizer made of the parts a tokenizer.json describes:
//
//   text -> added tokens -> normalizer -> added tokens (normalized ones)
//        -> pre-tokenizer -> model -> ids
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
#include "models/tokenizer.h"
#include "models/tokenizers/added_tokens.h"
#include "models/tokenizers/normalizer.h"
#include "models/tokenizers/pre_tokenizer.h"
#include "models/tokenizers/token_model.h"
#include "models/tokenizers/word_cache.h"

namespace quantd {

class PipelineTokenizer final : public Tokenizer {
 public:
  // Ids of the sequence markers, known from elsewhere.
  struct Markers {
    std::optional<int32_t> bos_id;
    std::optional<int32_t> eos_id;
    bool adds_bos = false;
  };

  // `file` is the parsed tokenizer.json.
  static absl::StatusOr<std::unique_ptr<PipelineTokenizer>> Create(
      const JsonReader& file, std::string digest);

  // The id of an added or a model token by its content.
  std::optional<int32_t> IdOf(absl::string_view token) const;

  // To be called once, before the tokenizer is shared.
  void set_markers(const Markers& markers) { markers_ = markers; }

  absl::StatusOr<std::vector<int32_t>> Encode(
      absl::string_view text) const override;
  absl::StatusOr<std::string> Decode(
      absl::Span<const int32_t> ids) const override;
  int vocabulary_size() const override { return vocabulary_size_; }
  std::optional<int32_t> bos_id() const override { return markers_.bos_id; }
  std::optional<int32_t> eos_id() const override { return markers_.eos_id; }
  bool adds_bos() const override { return markers_.adds_bos; }
  const std::string& digest() const override { return digest_; }

 private:
  class Encoding;

  PipelineTokenizer(Normalizer normalizer, PreTokenizer pre_tokenizer,
                    std::unique_ptr<const TokenModel> model,
                    const std::vector<AddedToken>& verbatim,
                    const std::vector<AddedToken>& normalized,
                    std::string digest);

  const Normalizer normalizer_;
  const PreTokenizer pre_tokenizer_;
  const std::unique_ptr<const TokenModel> model_;
  const AddedTokenMatcher verbatim_matcher_;    // in the text as given
  const AddedTokenMatcher normalized_matcher_;  // in the normalized text
  const std::string digest_;
  absl::flat_hash_map<int32_t, std::string> added_text_of_;
  absl::flat_hash_map<std::string, int32_t> added_id_of_;
  int vocabulary_size_ = 0;
  Markers markers_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_PIPELINE_TOKENIZER_H_
