// The four model types of SentencePiece as TokenModels over normalized text.
// One word is the whole text: what stands apart shares no ids, but unknown
// pieces that touch do.
#ifndef QUANTD_MODELS_TOKENIZERS_SENTENCE_PIECE_ENCODER_H_
#define QUANTD_MODELS_TOKENIZERS_SENTENCE_PIECE_ENCODER_H_

#include <memory>

#include "models/tokenizers/piece_vocabulary.h"
#include "models/tokenizers/token_model.h"

namespace quantd {

// The encoder of the vocabulary's model type. `vocabulary` must outlive it.
std::unique_ptr<const TokenModel> NewSentencePieceEncoder(
    const PieceVocabulary& vocabulary);

// The rows of its table. models/tokenizers/sentence_piece_pairs.cc:
std::unique_ptr<const TokenModel> NewSentencePiecePairs(
    const PieceVocabulary& vocabulary);
// models/tokenizers/sentence_piece_encoder.cc:
std::unique_ptr<const TokenModel> NewSentencePieceUnigram(
    const PieceVocabulary& vocabulary);
std::unique_ptr<const TokenModel> NewSentencePieceWords(
    const PieceVocabulary& vocabulary);
std::unique_ptr<const TokenModel> NewSentencePieceCharacters(
    const PieceVocabulary& vocabulary);

// What all of them share.
class SentencePieceEncoder : public TokenModel {
 public:
  explicit SentencePieceEncoder(const PieceVocabulary& vocabulary)
      : vocabulary_(vocabulary) {}

  std::optional<absl::string_view> TokenOf(int32_t id) const final {
    if (!vocabulary_.Has(id)) return std::nullopt;
    return vocabulary_.piece(id).text;
  }
  std::optional<int32_t> IdOf(absl::string_view token) const final {
    return vocabulary_.Find(token);
  }
  int32_t max_id() const final { return vocabulary_.size() - 1; }

 protected:
  const PieceVocabulary& vocabulary() const { return vocabulary_; }
  int32_t unknown_id() const { return vocabulary_.model().unknown_id; }

 private:
  const PieceVocabulary& vocabulary_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_SENTENCE_PIECE_ENCODER_H_
