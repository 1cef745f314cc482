// The text that SentencePiece's models see: rules of a character table, white
// space put in order and written as U+2581.
//
// Source: normalizer.cc of github.com/google/sentencepiece.
//
// Immutable and thread-safe.
#ifndef QUANTD_MODELS_TOKENIZERS_SENTENCE_PIECE_NORMALIZER_H_
#define QUANTD_MODELS_TOKENIZERS_SENTENCE_PIECE_NORMALIZER_H_

#include <array>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/tokenizers/byte_trie.h"
#include "models/tokenizers/sentence_piece_model.h"

namespace quantd {

// U+2581, which stands for a space inside pieces.
inline constexpr absl::string_view kPieceSpace = "\xE2\x96\x81";

class SentencePieceNormalizer {
 public:
  // User-defined symbols, the keys of `verbatim`, are left as they are.
  // `space_as_suffix`: the space that is added goes behind the text.
  SentencePieceNormalizer(SentencePieceNormalizerSpec spec, ByteTrie verbatim,
                          bool space_as_suffix);

  // ResourceExhausted when the result is over 2 GiB. REQUIRES: valid UTF-8;
  // returns valid UTF-8.
  absl::StatusOr<std::string> Apply(absl::string_view text) const;

 private:
  // What the beginning of a text becomes.
  struct Step {
    size_t length;  // bytes taken
    absl::string_view result;
  };
  Step Next(absl::string_view text, size_t pos) const;

  const SentencePieceNormalizerSpec spec_;
  const ByteTrie verbatim_;
  const bool space_as_suffix_;
  std::array<bool, 128> plain_;  // ASCII that becomes itself
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_SENTENCE_PIECE_NORMALIZER_H_
