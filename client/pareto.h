// Which of many compressions are worth having: those on the front of a cost
// (bits per weight, bytes) and a loss (KL, log perplexity, points of a task).
//
//   ASSIGN_OR_RETURN(auto standings,
//                    StandingsOf(points, [&](size_t better, size_t worse) {
//                      return IsLower(kl[better], kl[worse], 0.05);
//                    }));
//
// A measured loss has an error, so not every point off the front is shown to be
// worse than one on it: such a point is tied, and only one that is worse by a
// significant difference is dominated.
//
// Thread-safe: free functions of their arguments.
#ifndef QUANTD_CLIENT_PARETO_H_
#define QUANTD_CLIENT_PARETO_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace quantd {

// Less is better of both.
struct ParetoPoint {
  double cost = 0;
  double loss = 0;
};

enum class Standing {
  // No other point has at most its cost and its loss, and less of one; and it
  // is
  // not dominated.
  kFront,
  // Neither of the others.
  kTied,
  // A point of at most its cost is significantly better.
  kDominated,
};

// "front", "tied", "dominated".
const char* StandingName(Standing standing);

struct ParetoStanding {
  Standing standing = Standing::kFront;
  // The dominating point of the least loss; only of a dominated one.
  std::optional<size_t> dominated_by;
};

// One standing a point, in order. Equal points are on the front together.
// `is_better(better, worse)` says whether the difference of two losses is
// significant; it is asked only where the first point has at most the cost and
// less loss, best first, until it says yes. Its errors are returned.
// InvalidArgument for a cost or a loss that is not finite.
absl::StatusOr<std::vector<ParetoStanding>> StandingsOf(
    absl::Span<const ParetoPoint> points,
    absl::FunctionRef<absl::StatusOr<bool>(size_t better, size_t worse)>
        is_better);

// The same for costs that were measured: `costs_at_most(a, b)` says whether `a`
// has at most the cost of `b` as far as errors allow to tell. By it a point
// that nothing beats by the numbers alone may be dominated.
absl::StatusOr<std::vector<ParetoStanding>> StandingsOf(
    absl::Span<const ParetoPoint> points,
    absl::FunctionRef<bool(size_t a, size_t b)> costs_at_most,
    absl::FunctionRef<absl::StatusOr<bool>(size_t better, size_t worse)>
        is_better);

// A mean and its standard error.
struct MeanWithError {
  double mean = 0;
  double error = 0;
};

// Whether `a` is below `b` with a one-sided error of `alpha`: the upper end of
// the normal interval of level 1 - 2 alpha of a - b is below 0. The two errors
// are combined as of independent means, sqrt(a^2 + b^2). Means over the same
// windows rise and fall together, so that the true error of their difference is
// smaller: the test says yes too rarely, never too often.
// InvalidArgument for NaN, an error below 0, or alpha outside 0..0.5.
absl::StatusOr<bool> IsLower(const MeanWithError& a, const MeanWithError& b,
                             double alpha);

// The x that a standard normal value exceeds with probability `alpha`.
// REQUIRES: 0 < alpha <= 0.5.
double NormalUpperQuantile(double alpha);
// The same of Student's t. REQUIRES: degrees >= 1.
double StudentUpperQuantile(double alpha, int degrees);

}  // namespace quantd

#endif  // QUANTD_CLIENT_PARETO_H_
