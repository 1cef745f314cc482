// Signs of a degenerate generator: it says the same over and over, or stops at
// once. Texts are given as tokens; any numbering will do.
//
// Thread-safe: plain data and free functions of their arguments.
#ifndef QUANTD_EVALUATORS_TEXT_METRICS_REPETITION_H_
#define QUANTD_EVALUATORS_TEXT_METRICS_REPETITION_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace quantd {

struct NgramDiversity {
  uint64_t ngrams = 0;
  uint64_t distinct = 0;

  // 0 where no text is long enough for an n-gram.
  double distinct_share() const {
    return ngrams == 0
               ? 0
               : static_cast<double>(distinct) / static_cast<double>(ngrams);
  }
  // 1 - distinct share; 0 where there is none.
  double repeated_share() const {
    return ngrams == 0 ? 0 : 1 - distinct_share();
  }
};

// distinct-n (Li, Galley, Brockett, Gao and Dolan, NAACL 2016): distinct
// n-grams of all texts together over all n-grams. It falls as texts grow, and
// does not add up over texts: compare equal numbers of texts of equal length.
// N-grams are told apart by a 64-bit hash. InvalidArgument unless 1 <= n <= 64.
absl::StatusOr<NgramDiversity> CountDistinct(
    absl::Span<const std::vector<int32_t>> texts, int n);

// Of one text; its repeated_share() is seq-rep-n (Welleck et al., "Neural Text
// Generation with Unlikelihood Training", ICLR 2020, n = 4 there): 0 when
// nothing comes twice, near 1 for a loop.
absl::StatusOr<NgramDiversity> CountRepeated(absl::Span<const int32_t> text,
                                             int n);

// Mean of seq-rep-n over texts, those too short for an n-gram as 0.
// InvalidArgument for no text, or n out of range.
absl::StatusOr<double> RepetitionRate(
    absl::Span<const std::vector<int32_t>> texts, int n);

// One generated text: its length, without the token that ends it, and whether
// it ended by itself rather than at the limit.
struct GenerationEnd {
  uint64_t tokens = 0;
  bool ended = false;
};

// Share of texts that ended after fewer than `least_tokens` tokens.
// InvalidArgument for no text.
absl::StatusOr<double> EarlyEndRate(absl::Span<const GenerationEnd> texts,
                                    uint64_t least_tokens);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TEXT_METRICS_REPETITION_H_
