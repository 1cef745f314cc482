// The merge loop of byte pair encoding, apart from any file format.
//
// Starting from one symbol per byte, the adjacent pair of the lowest rank is
// replaced by its merged symbol, the leftmost first among equals, until no
// pair has a rank. Several merges may share a rank.
//
// Thread-safe once filled.
#ifndef QUANTD_MODELS_TOKENIZERS_BYTE_PAIR_MERGER_H_
#define QUANTD_MODELS_TOKENIZERS_BYTE_PAIR_MERGER_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"

namespace quantd {

class BytePairMerger {
 public:
  void Reserve(size_t merges) { merges_.reserve(merges); }

  // `left` `right` becomes `merged`. A later call for the same pair replaces
  // the earlier one. REQUIRES: rank >= 0, ids >= 0.
  void AddMerge(int32_t left, int32_t right, int32_t rank, int32_t merged) {
    merges_[Key(left, right)] = Merge{rank, merged};
  }

  // Merges `symbols` in place and returns how many are left, in front.
  size_t Run(absl::Span<int32_t> symbols) const {
    return symbols.size() <= kScanLimit ? RunByScan(symbols)
                                        : RunByHeap(symbols);
  }

  // The two algorithms behind Run(); equal results, for tests.
  // Quadratic, without allocation, and the faster one for short words.
  // REQUIRES: symbols.size() <= kScanLimit.
  size_t RunByScan(absl::Span<int32_t> symbols) const;
  // O(n log n): a "word" can be a megabyte.
  size_t RunByHeap(absl::Span<int32_t> symbols) const;

  static constexpr size_t kScanLimit = 64;

  struct Merge {
    int32_t rank;  // kNoRank: the two do not merge
    int32_t merged;
  };
  static constexpr int32_t kNoRank = std::numeric_limits<int32_t>::max();

  Merge Find(int32_t left, int32_t right) const;

 private:
  static uint64_t Key(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 |
           static_cast<uint32_t>(right);
  }

  absl::flat_hash_map<uint64_t, Merge> merges_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_BYTE_PAIR_MERGER_H_
