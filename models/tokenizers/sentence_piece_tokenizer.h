// The Tokenizer of a tokenizer.model: its ids are those of SentencePiece
// itself. Control pieces ("<s>") are not recognised in texts.
//
// Thread-safe.
#ifndef QUANTD_MODELS_TOKENIZERS_SENTENCE_PIECE_TOKENIZER_H_
#define QUANTD_MODELS_TOKENIZERS_SENTENCE_PIECE_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/tokenizers/piece_vocabulary.h"
#include "models/tokenizers/sentence_piece_model.h"
#include "models/tokenizers/sentence_piece_normalizer.h"
#include "models/tokenizers/token_model.h"
#include "models/tokenizers/tokenizer_base.h"

namespace quantd {

class SentencePieceTokenizer final : public TokenizerBase {
 public:
  static absl::StatusOr<std::unique_ptr<SentencePieceTokenizer>> Create(
      SentencePieceModel model, std::string digest);

  std::optional<int32_t> IdOf(absl::string_view token) const override;
  bool HasId(int32_t id) const override { return vocabulary_.Has(id); }
  absl::StatusOr<std::vector<int32_t>> Encode(
      absl::string_view text) const override;
  absl::StatusOr<std::string> Decode(
      absl::Span<const int32_t> ids) const override;
  int vocabulary_size() const override { return vocabulary_.size(); }

 private:
  SentencePieceTokenizer(SentencePieceModel model, std::string digest);

  // The text of a piece that is no byte. `*at_start` tells whether a space
  // that was added before the text may still come.
  std::string Surface(const SentencePiece& piece, bool at_start,
                      bool* took_space) const;

  const SentencePieceModel model_;
  const PieceVocabulary vocabulary_;
  const SentencePieceNormalizer normalizer_;
  const std::optional<SentencePieceNormalizer> denormalizer_;
  const std::unique_ptr<const TokenModel> encoder_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_SENTENCE_PIECE_TOKENIZER_H_
