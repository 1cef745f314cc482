#include "evaluators/statistics/paired_test.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/statistics/mean.h"
#include "evaluators/statistics/special_functions.h"

namespace quantd {
namespace {

absl::Status CheckLengths(size_t first, size_t second) {
  if (first != second) {
    return absl::InvalidArgumentError(
        absl::StrCat("not the same items: ", first, " of the first, ", second,
                     " of the second"));
  }
  if (first == 0) return absl::InvalidArgumentError("no items");
  return absl::OkStatus();
}

bool IsWhole(double score) { return score == 0 || score == 1; }

PairedDifference DifferenceOfSums(double sum, double squares, double n) {
  // Rounding may leave a tiny negative variance for constant differences.
  return {.mean = sum / n,
          .error = std::sqrt(std::max(0.0, squares - sum * sum / n)) / n};
}

}  // namespace

double PairedCounts::flip_rate() const {
  if (counted() == 0) return 0;
  return static_cast<double>(discordant()) / static_cast<double>(counted());
}

absl::StatusOr<PairedCounts> CountPairs(absl::Span<const double> first,
                                        absl::Span<const double> second) {
  RETURN_IF_ERROR(CheckLengths(first.size(), second.size()));
  PairedCounts counts;
  for (size_t i = 0; i < first.size(); ++i) {
    for (double score : {first[i], second[i]}) {
      if (!(score >= 0 && score <= 1)) {
        return absl::InvalidArgumentError(
            absl::StrCat("item ", i, " has the score ", score));
      }
    }
    if (!IsWhole(first[i]) || !IsWhole(second[i])) {
      ++counts.left_out;
    } else if (first[i] == 1) {
      ++(second[i] == 1 ? counts.both_right : counts.only_first);
    } else {
      ++(second[i] == 1 ? counts.only_second : counts.both_wrong);
    }
  }
  return counts;
}

McNemarTest TestMcNemar(const PairedCounts& counts) {
  McNemarTest test;
  const uint64_t k = counts.discordant();
  if (k == 0) return test;
  const uint64_t smaller = std::min(counts.only_first, counts.only_second);
  const double tail = 2 * FairCoinCdf(smaller, k);
  test.exact_p = std::min(1.0, tail);
  test.mid_p = std::clamp(tail - FairCoinMass(smaller, k), 0.0, 1.0);
  // The continuity correction may not turn no difference into one.
  const double apart = std::max(
      0.0, static_cast<double>(k) - 2 * static_cast<double>(smaller) - 1);
  test.chi_square = apart * apart / static_cast<double>(k);
  test.chi_square_p = ChiSquareUpperTail(test.chi_square, 1);
  return test;
}

PairedDifference DifferenceOfCounts(const PairedCounts& counts) {
  if (counts.counted() == 0) return {};
  return DifferenceOfSums(static_cast<double>(counts.only_second) -
                              static_cast<double>(counts.only_first),
                          static_cast<double>(counts.discordant()),
                          static_cast<double>(counts.counted()));
}

absl::StatusOr<std::vector<double>> Differences(
    absl::Span<const double> first, absl::Span<const double> second) {
  RETURN_IF_ERROR(CheckLengths(first.size(), second.size()));
  RETURN_IF_ERROR(Annotate(CheckFinite(first), "first"));
  RETURN_IF_ERROR(Annotate(CheckFinite(second), "second"));
  std::vector<double> differences(first.size());
  for (size_t i = 0; i < first.size(); ++i) {
    differences[i] = second[i] - first[i];
  }
  return differences;
}

absl::StatusOr<PairedDifference> DifferenceOfScores(
    absl::Span<const double> differences) {
  RETURN_IF_ERROR(CheckLengths(differences.size(), differences.size()));
  RETURN_IF_ERROR(CheckFinite(differences));
  double sum = 0;
  double squares = 0;
  for (double d : differences) {
    sum += d;
    squares += d * d;
  }
  return DifferenceOfSums(sum, squares,
                          static_cast<double>(differences.size()));
}

absl::StatusOr<PairedTTest> TestPairedT(absl::Span<const double> differences,
                                        absl::Span<const uint32_t> clusters) {
  ASSIGN_OR_RETURN(const MeanEstimate estimate,
                   EstimateMeanOfItems(differences, clusters));
  if (!estimate.clustered_error.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a t test needs two clusters, all ", estimate.items,
                     " items are in one"));
  }
  PairedTTest test;
  test.mean = estimate.mean;
  test.error = *estimate.clustered_error;
  test.degrees = static_cast<double>(estimate.clusters - 1);
  if (test.mean == 0) return test;
  test.t =
      test.error > 0
          ? test.mean / test.error
          : std::copysign(std::numeric_limits<double>::infinity(), test.mean);
  test.p = StudentTTwoSidedP(test.t, test.degrees);
  return test;
}

absl::StatusOr<double> AnswerChangeRate(absl::Span<const int32_t> first,
                                        absl::Span<const int32_t> second) {
  RETURN_IF_ERROR(CheckLengths(first.size(), second.size()));
  size_t changed = 0;
  for (size_t i = 0; i < first.size(); ++i) changed += first[i] != second[i];
  return static_cast<double>(changed) / static_cast<double>(first.size());
}

}  // namespace quantd
