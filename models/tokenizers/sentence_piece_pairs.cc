// SentencePiece's byte pair encoding. It has no list of merges: two symbols
// merge if their texts together are a piece, the piece with the best score
// first, the leftmost among equals.
//
// Here the pieces are taken apart once into the merges that can make them, so
// that the encoder is that of byte_pair_merger.h.
//
// Source: bpe_model.cc of github.com/google/sentencepiece.
#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "base/utf8.h"
#include "models/tokenizers/byte_pair_merger.h"
#include "models/tokenizers/safe_cuts.h"
#include "models/tokenizers/sentence_piece_encoder.h"

namespace quantd {
namespace {

class PairEncoder final : public SentencePieceEncoder {
 public:
  explicit PairEncoder(const PieceVocabulary& vocabulary)
      : SentencePieceEncoder(vocabulary) {
    FillSymbols();
    FillMerges();
    FillCuts();
    FillUnused();
  }

  void AppendIds(absl::string_view word,
                 std::vector<int32_t>* ids) const override {
    Symbols symbols = SymbolsOf(word);
    const size_t count = merger_.Run(absl::MakeSpan(symbols));
    PieceVocabulary::Writer writer(vocabulary(), ids);
    size_t pos = 0;
    for (size_t i = 0; i < count; ++i) {
      const size_t length = LengthOf(symbols[i], word, pos);
      Write(symbols[i], word.substr(pos, length), &writer);
      pos += length;
    }
  }

  void VisitParts(
      absl::string_view word,
      absl::FunctionRef<void(absl::string_view)> sink) const override {
    cuts_.VisitParts(word, sink);
  }

 private:
  using Symbols = absl::InlinedVector<int32_t, BytePairMerger::kScanLimit>;

  // Symbols are ids of pieces; behind them come the characters that are no
  // pieces but occur in some; and one for all others.
  int32_t other_symbol() const {
    return vocabulary().size() + static_cast<int32_t>(characters_.size());
  }

  // Pieces that take part in merges.
  bool Merges(int32_t id) const {
    const PieceType type = vocabulary().piece(id).type;
    return type == PieceType::kNormal || type == PieceType::kUnused;
  }

  void FillSymbols() {
    for (int32_t id = 0; id < vocabulary().size(); ++id) {
      if (!Merges(id)) continue;
      const absl::string_view text = vocabulary().piece(id).text;
      size_t length = 0;
      for (size_t pos = 0; pos < text.size(); pos += length) {
        const char32_t c = DecodeUtf8(text, pos, &length);
        if (symbol_of_.contains(c)) continue;
        const std::optional<int32_t> own =
            vocabulary().FindSought(text.substr(pos, length));
        if (own) {
          symbol_of_.emplace(c, *own);
        } else {
          symbol_of_.emplace(c, other_symbol());
          characters_.push_back(length);
        }
      }
    }
  }

  // The symbol of a text that is a piece or a character.
  std::optional<int32_t> SymbolOf(absl::string_view text) const {
    if (const std::optional<int32_t> id = vocabulary().FindSought(text)) {
      // User-defined symbols never merge.
      return Merges(*id) ? id : std::nullopt;
    }
    size_t length = 0;
    const char32_t c = DecodeUtf8(text, 0, &length);
    if (length != text.size()) return std::nullopt;
    return symbol_of_.at(c);
  }

  void FillMerges() {
    std::vector<int32_t> by_score;
    for (int32_t id = 0; id < vocabulary().size(); ++id) {
      if (Merges(id)) by_score.push_back(id);
    }
    const auto score = [this](int32_t id) {
      return vocabulary().piece(id).score;
    };
    std::stable_sort(by_score.begin(), by_score.end(),
                     [&](int32_t a, int32_t b) { return score(a) > score(b); });
    int32_t rank = 0;
    for (size_t i = 0; i < by_score.size(); ++i) {
      // Equal scores are an equal rank, for the place to decide.
      if (i > 0 && score(by_score[i]) < score(by_score[i - 1])) ++rank;
      AddMerges(by_score[i], rank);
    }
  }

  void AddMerges(int32_t id, int32_t rank) {
    const absl::string_view text = vocabulary().piece(id).text;
    size_t length = 0;
    DecodeUtf8(text, 0, &length);
    for (size_t cut = length; cut < text.size(); cut += length) {
      DecodeUtf8(text, cut, &length);
      const std::optional<int32_t> left = SymbolOf(text.substr(0, cut));
      if (!left) continue;
      const std::optional<int32_t> right = SymbolOf(text.substr(cut));
      if (!right) continue;
      merger_.AddMerge(*left, *right, rank, id);
      cuts_.AddMerge(text.substr(0, cut), text.substr(cut));
    }
  }

  void FillCuts() {
    for (const auto& [c, symbol] : symbol_of_) {
      if (symbol < vocabulary().size()) cuts_.AddCharacter(c);
    }
    if (vocabulary().model().byte_fallback) cuts_.AllowUnknown();
    // No cut inside of a user-defined symbol.
    for (const SentencePiece& piece : vocabulary().model().pieces) {
      if (piece.type != PieceType::kUserDefined) continue;
      size_t length = 0;
      DecodeUtf8(piece.text, 0, &length);
      const absl::string_view text = piece.text;
      for (size_t cut = length; cut < text.size(); cut += length) {
        DecodeUtf8(text, cut, &length);
        cuts_.AddMerge(text.substr(0, cut), text.substr(cut));
      }
    }
  }

  // An unused piece falls apart into the two symbols that it was merged from,
  // which are the same wherever it occurs: merging inside of a span does not
  // depend on what is around it.
  void FillUnused() {
    for (int32_t id = 0; id < vocabulary().size(); ++id) {
      if (vocabulary().piece(id).type != PieceType::kUnused) continue;
      Symbols symbols = SymbolsOf(vocabulary().piece(id).text);
      while (symbols.size() > 2) {
        size_t best = symbols.size();
        BytePairMerger::Merge best_merge = {BytePairMerger::kNoRank, 0};
        for (size_t i = 0; i + 1 < symbols.size(); ++i) {
          const auto merge = merger_.Find(symbols[i], symbols[i + 1]);
          if (merge.rank < best_merge.rank) {
            best = i;
            best_merge = merge;
          }
        }
        if (best == symbols.size()) break;
        symbols[best] = best_merge.merged;
        symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(best) + 1);
      }
      if (symbols.size() == 2) unused_[id] = {symbols[0], symbols[1]};
    }
  }

  Symbols SymbolsOf(absl::string_view text) const {
    Symbols symbols;
    size_t length = 0;
    for (size_t pos = 0; pos < text.size(); pos += length) {
      if (const auto symbol = vocabulary().user_defined().Longest(text, pos);
          symbol.length > 0) {
        symbols.push_back(symbol.value);
        length = symbol.length;
        continue;
      }
      const char32_t c = DecodeUtf8(text, pos, &length);
      const auto known = symbol_of_.find(c);
      symbols.push_back(known == symbol_of_.end() ? other_symbol()
                                                  : known->second);
    }
    return symbols;
  }

  size_t LengthOf(int32_t symbol, absl::string_view text, size_t pos) const {
    if (symbol < vocabulary().size()) {
      return vocabulary().piece(symbol).text.size();
    }
    size_t length = 0;
    DecodeUtf8(text, pos, &length);
    return length;
  }

  void Write(int32_t symbol, absl::string_view text,
             PieceVocabulary::Writer* writer) const {
    if (const auto parts = unused_.find(symbol); parts != unused_.end()) {
      const auto [left, right] = parts->second;
      const size_t cut = LengthOf(left, text, 0);
      Write(left, text.substr(0, cut), writer);
      Write(right, text.substr(cut), writer);
      return;
    }
    writer->Add(text, symbol < vocabulary().size()
                          ? symbol
                          : vocabulary().Find(text).value_or(unknown_id()));
  }

  absl::flat_hash_map<char32_t, int32_t> symbol_of_;
  std::vector<size_t> characters_;  // bytes of those that are no pieces
  BytePairMerger merger_;
  SafeCuts cuts_;
  absl::flat_hash_map<int32_t, std::pair<int32_t, int32_t>> unused_;
};

}  // namespace

std::unique_ptr<const TokenModel> NewSentencePiecePairs(
    const PieceVocabulary& vocabulary) {
  return std::make_unique<PairEncoder>(vocabulary);
}

}  // namespace quantd
