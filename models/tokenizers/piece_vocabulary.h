// The pieces of a SentencePiece model by text and by id, and how the pieces of
// a text become ids.
//
// Immutable and thread-safe.
#ifndef QUANTD_MODELS_TOKENIZERS_PIECE_VOCABULARY_H_
#define QUANTD_MODELS_TOKENIZERS_PIECE_VOCABULARY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "models/tokenizers/byte_trie.h"
#include "models/tokenizers/sentence_piece_model.h"

namespace quantd {

class PieceVocabulary {
 public:
  // `model` must outlive this.
  explicit PieceVocabulary(const SentencePieceModel& model);

  const SentencePieceModel& model() const { return model_; }
  const SentencePiece& piece(int32_t id) const {
    return model_.pieces[static_cast<size_t>(id)];
  }
  int32_t size() const { return static_cast<int32_t>(model_.pieces.size()); }
  bool Has(int32_t id) const { return id >= 0 && id < size(); }

  // The id of a piece by its text; pieces that only have an id come first.
  std::optional<int32_t> Find(absl::string_view text) const;
  // The id of a piece that is found in texts.
  std::optional<int32_t> FindSought(absl::string_view text) const;

  // The user-defined symbols, which always are pieces.
  const ByteTrie& user_defined() const { return user_defined_; }
  // Bytes of the piece that begins at `pos` before any merging: a user-defined
  // symbol or a character.
  size_t FirstPiece(absl::string_view text, size_t pos) const;

  // Appends the ids of one text's pieces, in order: an unknown piece becomes
  // bytes if the model has them; else neighbouring ones are one id.
  class Writer {
   public:
    Writer(const PieceVocabulary& vocabulary, std::vector<int32_t>* ids)
        : vocabulary_(vocabulary), ids_(*ids) {}

    void Add(absl::string_view text, int32_t id);

   private:
    const PieceVocabulary& vocabulary_;
    std::vector<int32_t>& ids_;
    bool after_unknown_ = false;
  };

 private:
  using IdMap = absl::flat_hash_map<absl::string_view, int32_t>;

  const SentencePieceModel& model_;
  IdMap sought_;
  IdMap reserved_;
  ByteTrie user_defined_;
  std::array<int32_t, 256> byte_ids_;  // with byte_fallback
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_PIECE_VOCABULARY_H_
