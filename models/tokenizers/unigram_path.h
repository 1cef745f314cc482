// The most probable cut of a text into pieces under a unigram language model:
// the sum of the pieces' log-probabilities is largest (Viterbi).
//
// Source: Kudo, "Subword regularization", 2018, section 3.2; the order of
// comparisons, which decides between equal sums, is that of SentencePiece's
// optimized encoder, which Hugging Face's library follows.
#ifndef QUANTD_MODELS_TOKENIZERS_UNIGRAM_PATH_H_
#define QUANTD_MODELS_TOKENIZERS_UNIGRAM_PATH_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "models/tokenizers/byte_trie.h"

namespace quantd {

// A character that no piece covers costs this much more than the worst piece.
inline constexpr double kUnknownPenalty = 10.0;

// The best path to one place of the text.
template <typename Sum>
struct PathNode {
  static constexpr uint32_t kUnreached = static_cast<uint32_t>(-1);

  Sum sum = 0;
  int32_t id = -1;              // of the last piece
  uint32_t begin = kUnreached;  // of the last piece
};

struct PathPiece {
  uint32_t begin;
  uint32_t end;
  int32_t id;
};

// Calls `sink(begin, end, id)` with the pieces of the best path, in order;
// `unknown_id` for a character that is no piece itself.
//
// `trie` maps pieces to ids; `score_of(id, length)` is a double. Sums are kept
// as `Sum`: SentencePiece rounds them to float, and what that rounding decides
// is part of its result.
//
// Time is linear in the text times the longest piece. Memory is linear in the
// longest stretch that pieces overlap without a gap: where no piece crosses
// from left to right, the best path to the left is final and is let go.
// REQUIRES: valid UTF-8.
template <typename Sum, typename ScoreOf, typename Sink>
void VisitBestPath(const ByteTrie& trie, absl::string_view text,
                   ScoreOf score_of, Sum unknown_score, int32_t unknown_id,
                   Sink sink) {
  absl::InlinedVector<PathNode<Sum>, 64> nodes(1);
  absl::InlinedVector<PathPiece, 32> path;
  size_t base = 0;      // nodes[i] is the place base + i
  size_t furthest = 0;  // no piece so far ends behind it

  const auto flush = [&](size_t place) {
    path.clear();
    for (auto end = static_cast<uint32_t>(place - base); end > 0;) {
      const PathNode<Sum>& node = nodes[end];
      path.push_back({node.begin, end, node.id});
      end = node.begin;
    }
    for (auto piece = path.rbegin(); piece != path.rend(); ++piece) {
      sink(base + piece->begin, base + piece->end, piece->id);
    }
    const Sum sum = nodes[place - base].sum;
    nodes.clear();
    nodes.resize(1);
    nodes[0].sum = sum;
    base = place;
  };

  size_t pos = 0;
  while (pos < text.size()) {
    if (pos == furthest && pos > base) flush(pos);
    const auto lead = static_cast<uint8_t>(text[pos]);
    const size_t character = lead < 0x80   ? 1
                             : lead < 0xE0 ? 2
                             : lead < 0xF0 ? 3
                                           : 4;
    const auto begin = static_cast<uint32_t>(pos - base);
    const Sum here = nodes[begin].sum;
    const auto reach = [&](size_t length) -> PathNode<Sum>& {
      if (nodes.size() <= begin + length) nodes.resize(begin + length + 1);
      furthest = std::max(furthest, pos + length);
      return nodes[begin + length];
    };
    bool has_single = false;
    trie.VisitMatches(text, pos, [&](size_t length, int32_t id) {
      PathNode<Sum>& node = reach(length);
      const double sum = score_of(id, length) + static_cast<double>(here);
      if (node.begin == PathNode<Sum>::kUnreached ||
          sum > static_cast<double>(node.sum)) {
        node = {static_cast<Sum>(sum), id, begin};
      }
      has_single = has_single || length == character;
    });
    if (!has_single) {
      PathNode<Sum>& node = reach(character);
      const Sum sum = unknown_score + here;
      if (node.begin == PathNode<Sum>::kUnreached || sum > node.sum) {
        node = {sum, unknown_id, begin};
      }
    }
    pos += character;
  }
  if (pos > base) flush(pos);
}

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_UNIGRAM_PATH_H_
