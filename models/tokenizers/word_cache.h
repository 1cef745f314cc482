// Remembers where in one call's output a word was encoded before. Text repeats
// its words, and copying a few ids is far cheaper than merging.
//
// It lives for one call and has a fixed number of places, each holding the
// last word that hashed there: bounded memory, no locks, nothing to evict.
//
// Confined to one thread.
#ifndef QUANTD_MODELS_TOKENIZERS_WORD_CACHE_H_
#define QUANTD_MODELS_TOKENIZERS_WORD_CACHE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/numeric/bits.h"
#include "absl/strings/string_view.h"

namespace quantd {

class WordCache {
 public:
  // A part of the output.
  struct Range {
    uint32_t begin = 0;
    uint32_t size = 0;
  };
  struct Entry {
    absl::string_view word;  // empty: free
    Range ids;
  };

  // For a text of `text_bytes`.
  explicit WordCache(size_t text_bytes)
      : entries_(absl::bit_ceil(std::clamp(text_bytes / kBytesPerEntry,
                                           kMinEntries, kMaxEntries))) {}

  // The place of `word`; it holds the word already if entry.word == word.
  // Else the caller may store it there: the bytes must outlive the cache.
  Entry& At(absl::string_view word) {
    return entries_[absl::Hash<absl::string_view>{}(word) &
                    (entries_.size() - 1)];
  }

 private:
  // A short text should not pay for clearing a large table.
  static constexpr size_t kBytesPerEntry = 16;
  static constexpr size_t kMinEntries = 16;
  static constexpr size_t kMaxEntries = size_t{1} << 15;

  std::vector<Entry> entries_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_WORD_CACHE_H_
