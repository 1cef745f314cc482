// A set of byte strings with a number each, for finding all of them that begin
// at a place of a text.
//
// It is a double array: the child of a node over byte b is the slot base + b,
// if that slot names the node as its parent, so a step is one comparison.
//
// Immutable and thread-safe once built.
#ifndef QUANTD_MODELS_TOKENIZERS_BYTE_TRIE_H_
#define QUANTD_MODELS_TOKENIZERS_BYTE_TRIE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace quantd {

class ByteTrie {
 public:
  struct Match {
    size_t length = 0;  // 0: none
    int32_t value = -1;
  };

  // Nothing is found.
  ByteTrie() : slots_(kBytes) {}

  // Of equal keys the last one counts; empty ones are left out. REQUIRES:
  // values >= 0. The keys need not outlive the call.
  using Key = std::pair<absl::string_view, int32_t>;
  explicit ByteTrie(std::vector<Key> keys);

  // Calls `visit` with the length and the value of each key that begins at
  // `pos`, shortest first.
  template <typename Visit>
  void VisitMatches(absl::string_view text, size_t pos, Visit visit) const {
    int32_t node = 0;
    for (size_t i = pos; i < text.size(); ++i) {
      const size_t slot =
          static_cast<size_t>(slots_[static_cast<size_t>(node)].base) +
          static_cast<uint8_t>(text[i]);
      if (slots_[slot].parent != node) return;
      node = static_cast<int32_t>(slot);
      if (slots_[slot].value >= 0) visit(i + 1 - pos, slots_[slot].value);
    }
  }

  // Whether a key begins with this byte.
  bool MayBeginWith(uint8_t byte) const {
    return slots_[static_cast<size_t>(slots_[0].base) + byte].parent == 0;
  }

  // The longest key that begins at `pos`.
  Match Longest(absl::string_view text, size_t pos) const {
    Match longest;
    VisitMatches(text, pos, [&longest](size_t length, int32_t value) {
      longest = Match{length, value};
    });
    return longest;
  }

 private:
  struct Slot {
    int32_t base = 0;     // where the slots of the children begin
    int32_t parent = -1;  // the node above; -1: free (and for the root)
    int32_t value = -1;
  };
  class Builder;
  static constexpr size_t kBytes = 256;

  // At least kBytes more than the largest base: any byte may be added.
  std::vector<Slot> slots_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_BYTE_TRIE_H_
