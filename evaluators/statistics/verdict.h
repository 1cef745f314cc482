// Is the compressed model as good as the original, up to a margin that was
// stated beforehand?
//
// Loss is what the second model lost against the first, per item: positive is
// worse. Its interval [L, U] has the level 1 - 2 alpha, so that each end is a
// test of level alpha (Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987). With
// m > 0 the margin, the first row that holds decides:
//
//   one side (non-inferiority)   two sides (equivalence)        verdict
//   U < m                        -m < L and U < m               equivalent
//   L > 0                        L > 0                          worse
//   -                            U < 0                          better
//   otherwise                    otherwise                      undecided
//
// Why in this order:
// * A loss that is surely there and surely below the margin is one that was
//   declared not to matter: equivalent, though the difference is significant.
//   Judging significance first would call every compression worse given enough
//   items.
// * A loss that is surely there, when it is not sure to be below the margin, is
//   worse. That holds all the more for L >= m. Waiting for L >= m alone would
//   leave a model whose loss is near the margin undecided for ever, and the
//   doubt is the compressed model's to remove.
// * With one side a gain of any size is equivalent (no loss that matters); with
//   two sides a change of any direction counts, and a gain that is not sure to
//   be below the margin is better.
// * No finding of a difference is not equivalence: wide intervals are undecided
//   and say how many more items they need.
//
// Thread-safe: plain data and free functions of their arguments.
#ifndef QUANTD_EVALUATORS_STATISTICS_VERDICT_H_
#define QUANTD_EVALUATORS_STATISTICS_VERDICT_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "evaluators/statistics/interval.h"
#include "evaluators/statistics/power.h"

namespace quantd {

enum class Verdict { kEquivalent, kWorse, kBetter, kUndecided };

// "equivalent", "worse", "better", "undecided".
absl::string_view VerdictName(Verdict verdict);

struct VerdictOptions {
  // In the unit of the scores: 0.01 is one point of accuracy.
  double margin = 0.01;
  // Two sides ask for equivalence, one for non-inferiority.
  Sides sides = Sides::kOne;
  // Level of the test at each end of the interval.
  double alpha = 0.05;
  // Chance that the further items asked for bring a decision, should the loss
  // and the variance be those seen so far.
  double power = 0.8;
};

// How the interval of the loss came about.
enum class LossInterval {
  // Tango's, of items right or wrong that are independent (proportion.h).
  kTango,
  // Student's t with the clustered error (mean.h).
  kStudentT,
  // The hull of Student's t and of Tango's interval of the clusters that lost,
  // gained and kept: fewer than ten clusters differ, and the t interval of so
  // few is too narrow, with none at all a point.
  kStudentTWidened,
};

struct VerdictReport {
  Verdict verdict = Verdict::kUndecided;
  // First less second.
  double loss = 0;
  // Of the level 1 - 2 alpha.
  Interval interval;
  LossInterval interval_kind = LossInterval::kStudentT;
  // 0 unless undecided: items beyond those at hand until the first of the
  // table's rows is reached.
  uint64_t further_items = 0;
};

// The table above. REQUIRES: margin > 0.
Verdict Decide(const Interval& loss, double margin, Sides sides);

// Of scores in 0..1, 1 for right. `clusters` as EstimateMeanOfItems takes them.
// InvalidArgument for scores that CountPairs refuses, options out of range, a
// single cluster, or a single item with a fraction.
absl::StatusOr<VerdictReport> JudgeScores(absl::Span<const double> first,
                                          absl::Span<const double> second,
                                          absl::Span<const uint32_t> clusters,
                                          const VerdictOptions& options);

// Of losses without bounds (a rise of the negative log-likelihood): always the
// t interval, a point where all losses are the same. InvalidArgument as
// TestPairedT and for options out of range.
absl::StatusOr<VerdictReport> JudgeLosses(absl::Span<const double> losses,
                                          absl::Span<const uint32_t> clusters,
                                          const VerdictOptions& options);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_STATISTICS_VERDICT_H_
