// Encodes words one after the other, remembering those it met before.
//
// Confined to one thread.
#ifndef QUANTD_MODELS_TOKENIZERS_WORD_ENCODER_H_
#define QUANTD_MODELS_TOKENIZERS_WORD_ENCODER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "models/tokenizers/token_model.h"
#include "models/tokenizers/word_cache.h"

namespace quantd {

class WordEncoder {
 public:
  // For a text of `text_bytes`; `model` must outlive this.
  WordEncoder(const TokenModel& model, size_t text_bytes)
      : model_(model), cache_(text_bytes) {
    // English text has about four bytes a token.
    ids_.reserve(text_bytes / 4 + 4);
  }

  void AddId(int32_t id) { ids_.push_back(id); }

  // Appends the ids of `word`, whose bytes must outlive this.
  void AddWord(absl::string_view word) {
    if (word.size() <= kMaxCachedWord) return AddCached(word);
    model_.VisitParts(word, [this](absl::string_view part) {
      if (part.size() <= kMaxCachedWord) return AddCached(part);
      model_.AppendIds(part, &ids_);
    });
  }

  std::vector<int32_t> TakeIds() && { return std::move(ids_); }

 private:
  // Longer words rarely repeat, and comparing them costs.
  static constexpr size_t kMaxCachedWord = 64;

  void AddCached(absl::string_view word) {
    WordCache::Entry& entry = cache_.At(word);
    const size_t begin = ids_.size();
    if (entry.word == word) {
      ids_.resize(begin + entry.ids.size);
      std::copy_n(ids_.begin() + entry.ids.begin, entry.ids.size,
                  ids_.begin() + static_cast<ptrdiff_t>(begin));
      return;
    }
    model_.AppendIds(word, &ids_);
    entry.word = word;
    entry.ids.begin = static_cast<uint32_t>(begin);
    entry.ids.size = static_cast<uint32_t>(ids_.size() - begin);
  }

  const TokenModel& model_;
  WordCache cache_;
  std::vector<int32_t> ids_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_WORD_ENCODER_H_
