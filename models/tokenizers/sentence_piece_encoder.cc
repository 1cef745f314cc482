// Source: unigram_model.cc, word_model.cc, char_model.cc of
// github.com/google/sentencepiece.
#include "models/tokenizers/sentence_piece_encoder.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "models/tokenizers/byte_trie.h"
#include "models/tokenizers/sentence_piece_normalizer.h"
#include "models/tokenizers/unigram_path.h"

namespace quantd {
namespace {

class UnigramEncoder final : public SentencePieceEncoder {
 public:
  explicit UnigramEncoder(const PieceVocabulary& vocabulary)
      : SentencePieceEncoder(vocabulary) {
    float lowest = std::numeric_limits<float>::max();
    std::vector<ByteTrie::Key> keys;
    for (int32_t id = 0; id < vocabulary.size(); ++id) {
      const SentencePiece& piece = vocabulary.piece(id);
      if (piece.type == PieceType::kNormal) {
        lowest = std::min(lowest, piece.score);
        highest_ = std::max(highest_, piece.score);
      }
      if (piece.type == PieceType::kNormal ||
          piece.type == PieceType::kUserDefined) {
        keys.emplace_back(piece.text, id);
      }
    }
    unknown_score_ = lowest - static_cast<float>(kUnknownPenalty);
    trie_ = ByteTrie(std::move(keys));
  }

  void AppendIds(absl::string_view word,
                 std::vector<int32_t>* ids) const override {
    PieceVocabulary::Writer writer(vocabulary(), ids);
    VisitBestPath<float>(
        trie_, word,
        [this](int32_t id, size_t length) { return ScoreOf(id, length); },
        unknown_score_, unknown_id(),
        [&](size_t begin, size_t end, int32_t id) {
          writer.Add(word.substr(begin, end - begin), id);
        });
  }

 private:
  // A user-defined symbol costs next to nothing, so it is always taken.
  double ScoreOf(int32_t id, size_t length) const {
    const SentencePiece& piece = vocabulary().piece(id);
    if (piece.type != PieceType::kUserDefined) return double{piece.score};
    constexpr double kSymbolCost = 0.1;
    return double{static_cast<float>(length) * highest_} - kSymbolCost;
  }

  ByteTrie trie_;
  // The best score of a normal piece, or, as log-probabilities are negative,
  // what the reference starts from: the smallest positive number.
  float highest_ = std::numeric_limits<float>::min();
  float unknown_score_ = 0;
};

class WordEncoding final : public SentencePieceEncoder {
 public:
  using SentencePieceEncoder::SentencePieceEncoder;

  void AppendIds(absl::string_view word,
                 std::vector<int32_t>* ids) const override {
    PieceVocabulary::Writer writer(vocabulary(), ids);
    size_t begin = 0;
    while (begin < word.size()) {
      const size_t end =
          std::min(word.find(kPieceSpace, begin + 1), word.size());
      const absl::string_view text = word.substr(begin, end - begin);
      writer.Add(text, vocabulary().Find(text).value_or(unknown_id()));
      begin = end;
    }
  }
};

class CharacterEncoding final : public SentencePieceEncoder {
 public:
  using SentencePieceEncoder::SentencePieceEncoder;

  void AppendIds(absl::string_view word,
                 std::vector<int32_t>* ids) const override {
    PieceVocabulary::Writer writer(vocabulary(), ids);
    size_t length = 0;
    for (size_t pos = 0; pos < word.size(); pos += length) {
      length = vocabulary().FirstPiece(word, pos);
      const absl::string_view text = word.substr(pos, length);
      writer.Add(text, vocabulary().Find(text).value_or(unknown_id()));
    }
  }
};

struct Row {
  SentencePieceModel::Type type;
  std::unique_ptr<const TokenModel> (*create)(const PieceVocabulary&);
};

constexpr Row kTypes[] = {
    {SentencePieceModel::Type::kUnigram, NewSentencePieceUnigram},
    {SentencePieceModel::Type::kBpe, NewSentencePiecePairs},
    {SentencePieceModel::Type::kWord, NewSentencePieceWords},
    {SentencePieceModel::Type::kChar, NewSentencePieceCharacters},
};

}  // namespace

std::unique_ptr<const TokenModel> NewSentencePieceUnigram(
    const PieceVocabulary& vocabulary) {
  return std::make_unique<UnigramEncoder>(vocabulary);
}

std::unique_ptr<const TokenModel> NewSentencePieceWords(
    const PieceVocabulary& vocabulary) {
  return std::make_unique<WordEncoding>(vocabulary);
}

std::unique_ptr<const TokenModel> NewSentencePieceCharacters(
    const PieceVocabulary& vocabulary) {
  return std::make_unique<CharacterEncoding>(vocabulary);
}

std::unique_ptr<const TokenModel> NewSentencePieceEncoder(
    const PieceVocabulary& vocabulary) {
  for (const Row& row : kTypes) {
    if (row.type == vocabulary.model().type) return row.create(vocabulary);
  }
  return nullptr;  // the parser lets no other type through
}

}  // namespace quantd
