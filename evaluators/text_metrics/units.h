// A text cut into the units that metrics count: words or characters, and their
// n-grams.
//
// Texts are any bytes; a broken UTF-8 sequence counts as U+FFFD, so that no
// output of a model can fail a metric.
//
// Thread-safe: plain data and free functions of their arguments.
#ifndef QUANTD_EVALUATORS_TEXT_METRICS_UNITS_H_
#define QUANTD_EVALUATORS_TEXT_METRICS_UNITS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace quantd {

// Pieces of `text` between runs of Unicode's White_Space, none of them empty.
// REQUIRES: valid UTF-8. They point into `text`.
std::vector<absl::string_view> SplitOnWhiteSpace(absl::string_view text);

// Character by character (models/tokenizers/lowercase.h).
// REQUIRES: valid UTF-8.
std::string Lowercase(absl::string_view text);

// Units one after the other in one string, words with a blank between them: an
// n-gram is a piece of that string.
class UnitSequence {
 public:
  // The words of `text` by white space.
  static UnitSequence Words(absl::string_view text);
  // Of words that hold no blank.
  static UnitSequence OfWords(const std::vector<absl::string_view>& words);
  // The characters of `text`, white space left out.
  static UnitSequence Characters(absl::string_view text);

  size_t size() const { return begin_.size(); }
  absl::string_view unit(size_t i) const { return Ngram(i, 1); }
  // Units i to i + n - 1. REQUIRES: n > 0, i + n <= size(). Points into this.
  absl::string_view Ngram(size_t i, size_t n) const {
    return absl::string_view(text_).substr(begin_[i],
                                           end_[i + n - 1] - begin_[i]);
  }
  // How many n-grams there are: size() - n + 1, or none.
  size_t NgramCount(size_t n) const { return size() < n ? 0 : size() - n + 1; }

 private:
  void Add(absl::string_view unit) {
    begin_.push_back(text_.size());
    text_.append(unit.data(), unit.size());
    end_.push_back(text_.size());
  }

  std::string text_;
  std::vector<size_t> begin_;
  std::vector<size_t> end_;
};

// How often each n-gram occurs.
using NgramCounts = absl::flat_hash_map<absl::string_view, uint64_t>;

// Keys point into `units`, which must stay where it is. REQUIRES: n > 0.
NgramCounts CountNgrams(const UnitSequence& units, size_t n);

// Sum over n-grams of the smaller of both counts.
uint64_t CountMatches(const NgramCounts& one, const NgramCounts& other);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TEXT_METRICS_UNITS_H_
