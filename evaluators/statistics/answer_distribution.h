// Which of the numbered answers a model chooses, against which are right: a
// broken model often answers one index whatever is asked, and on a task whose
// right answer has a constant index that scores 100 %.
//
// Thread-safe: plain data and free functions of their arguments.
#ifndef QUANTD_EVALUATORS_STATISTICS_ANSWER_DISTRIBUTION_H_
#define QUANTD_EVALUATORS_STATISTICS_ANSWER_DISTRIBUTION_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace quantd {

// Pearson's chi-square of the chosen counts with the right answers' counts as
// expectation, over the indices that are ever right; one degree of freedom
// fewer than those. A model that answers mostly right scatters less than a
// free choice would, so the p value errs upwards: a small one is a bias.
struct PositionBiasTest {
  double chi_square = 0;
  double degrees = 0;
  double p = 1;
};

struct AnswerDistribution {
  // By index: share of the items where it is chosen, and where it is right.
  std::vector<double> chosen_share;
  std::vector<double> gold_share;
  // The index chosen most often, of equal ones the first, is
  // chosen_share[most_chosen].
  int32_t most_chosen = 0;
  // All items got the same index, or have it as the right one.
  bool constant_answer = false;
  bool constant_gold = false;
  // Absent where fewer than two indices are ever right, or an index was chosen
  // that never is (the expectation is 0): such tasks test nothing of the kind.
  std::optional<PositionBiasTest> position_bias;

  // The same answer to all, though different ones are right. With constant_gold
  // no detector can tell, and the task's score alone proves nothing.
  bool is_degenerate() const { return constant_answer && !constant_gold; }
};

// `chosen` and `gold` hold an index below `choices` for each item; items may
// have fewer choices. InvalidArgument for different lengths, fewer than two
// items, or an index out of range (the item is named).
absl::StatusOr<AnswerDistribution> DescribeAnswers(
    absl::Span<const int32_t> chosen, absl::Span<const int32_t> gold,
    int32_t choices);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_STATISTICS_ANSWER_DISTRIBUTION_H_
