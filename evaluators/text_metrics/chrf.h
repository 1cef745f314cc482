// chrF (Popovic, WMT 2015) and chrF++ (WMT 2017): F score of character n-grams,
// and with word_order 2 of word n-grams too.
//
// Characters are counted without white space; words are cut by white space, and
// one ASCII punctuation mark at the end, or else at the beginning, of a word of
// more than one character is a word of its own. Precision and recall are
// averaged over the orders that both sides have n-grams of, then
//   F = (1 + beta^2) P R / (beta^2 P + R)
// which is how the published scores are made (not the mean of F over orders).
// Of several references, the one with the item's highest F is counted.
//
// The counts of items add up: a corpus is the sum of its items.
//
// Thread-safe: plain data and free functions of their arguments.
#ifndef QUANTD_EVALUATORS_TEXT_METRICS_CHRF_H_
#define QUANTD_EVALUATORS_TEXT_METRICS_CHRF_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace quantd {

struct ChrfOptions {
  // 1..16.
  int char_order = 6;
  // 0..16; 2: chrF++.
  int word_order = 0;
  // Recall weighs beta times as much as precision; above 0.
  double beta = 2;
  bool lowercase = false;
};

struct ChrfStatistics {
  struct Order {
    // 0 where the reference is too short for the order.
    uint64_t hypothesis = 0;
    uint64_t reference = 0;
    uint64_t matches = 0;
  };
  // Characters of 1, 2, ... then words of 1, 2, ...
  std::vector<Order> orders;

  // Into a sum that begins empty. REQUIRES: the same options on both sides.
  ChrfStatistics& operator+=(const ChrfStatistics& other);
};

// Of one item. InvalidArgument without a reference or with options out of
// range. Any bytes are accepted.
absl::StatusOr<ChrfStatistics> CountChrf(
    absl::string_view hypothesis, absl::Span<const std::string> references,
    const ChrfOptions& options);

// Of one item or of summed ones, 0..100; 0 without a match.
double ChrfScore(const ChrfStatistics& statistics, double beta);

// "chrF2|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no"; "chrF2++" with word
// n-grams.
std::string ChrfSignature(const ChrfOptions& options, size_t references);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TEXT_METRICS_CHRF_H_
