// Two models on the same items: did the second get worse, and how many answers
// changed behind an equal mean?
//
// Scores are 1 for right, 0 for wrong, or a fraction where tied answers share
// credit. With b items right only at first, c right only at second and
// k = b + c:
//   difference (c - b) / n, error sqrt(k - (b - c)^2 / n) / n
// which for any scores is sqrt(sum d^2 - (sum d)^2 / n) / n of the differences
// d. The error of two independent samples, which is what other harnesses
// print, is about three times as large at 4 % of flips.
//
// Thread-safe: plain data and free functions of their arguments.
#ifndef QUANTD_EVALUATORS_STATISTICS_PAIRED_TEST_H_
#define QUANTD_EVALUATORS_STATISTICS_PAIRED_TEST_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace quantd {

// How items fall by two models.
struct PairedCounts {
  uint64_t both_right = 0;
  uint64_t only_first = 0;   // b
  uint64_t only_second = 0;  // c
  uint64_t both_wrong = 0;
  // Items with a fraction by either model: part of means and differences, not
  // of anything below.
  uint64_t left_out = 0;

  uint64_t counted() const {
    return both_right + only_first + only_second + both_wrong;
  }
  uint64_t discordant() const { return only_first + only_second; }
  // Share of the counted items whose rightness changed (flips of
  // arXiv:2407.09141); 0 of none.
  double flip_rate() const;
};

// InvalidArgument for different lengths, none at all, or a score outside 0..1
// (its index is named).
absl::StatusOr<PairedCounts> CountPairs(absl::Span<const double> first,
                                        absl::Span<const double> second);

// McNemar's test (Psychometrika 12, 1947) that neither model is right more
// often. P values of both sides, 1 where no item is discordant.
struct McNemarTest {
  // Twice the binomial tail of the smaller of b and c, at most 1.
  double exact_p = 1;
  // The same less the probability of the smaller count itself, which takes away
  // most of the exact test's timidity (Fagerland, Lydersen and Laake, BMC Med.
  // Res. Methodol. 13:91, 2013).
  double mid_p = 1;
  // max(0, |b - c| - 1)^2 / k, by one degree of freedom. For k above 25.
  double chi_square = 0;
  double chi_square_p = 1;
};
McNemarTest TestMcNemar(const PairedCounts& counts);

struct PairedDifference {
  // Second less first: negative is a loss.
  double mean = 0;
  double error = 0;
};

// Of the counted items of `counts`, by the formula above; zeros for none.
PairedDifference DifferenceOfCounts(const PairedCounts& counts);

// second - first, item by item. InvalidArgument for different lengths or a
// value that is not finite.
absl::StatusOr<std::vector<double>> Differences(
    absl::Span<const double> first, absl::Span<const double> second);

// Of any scores, by the formula above. InvalidArgument for none or one that is
// not finite.
absl::StatusOr<PairedDifference> DifferenceOfScores(
    absl::Span<const double> differences);

// Student's t of the mean of differences. With clusters the error is the
// clustered one of mean.h and W - 1 are the degrees of freedom; clusters of
// equal size give what the t test of the clusters' means gives.
struct PairedTTest {
  double mean = 0;
  double error = 0;
  // Infinite where all differences are the same other than 0.
  double t = 0;
  double degrees = 0;
  // Two-sided; 1 where all differences are 0.
  double p = 1;
};

// `clusters` as EstimateMeanOfItems takes them; InvalidArgument as there and
// for a single cluster.
absl::StatusOr<PairedTTest> TestPairedT(absl::Span<const double> differences,
                                        absl::Span<const uint32_t> clusters);

// Share of items with another answer, right or wrong: as many as flips and
// those that went from one wrong answer to another. InvalidArgument for
// different lengths or none.
absl::StatusOr<double> AnswerChangeRate(absl::Span<const int32_t> first,
                                        absl::Span<const int32_t> second);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_STATISTICS_PAIRED_TEST_H_
