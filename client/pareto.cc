#include "client/pareto.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

// At most the cost and the loss, and less of one.
bool Beats(const ParetoPoint& a, const ParetoPoint& b) {
  return a.cost <= b.cost && a.loss <= b.loss &&
         (a.cost < b.cost || a.loss < b.loss);
}

}  // namespace

const char* StandingName(Standing standing) {
  switch (standing) {
    case Standing::kFront:
      return "front";
    case Standing::kTied:
      return "tied";
    case Standing::kDominated:
      return "dominated";
  }
  return "";
}

absl::StatusOr<std::vector<ParetoStanding>> StandingsOf(
    absl::Span<const ParetoPoint> points,
    absl::FunctionRef<absl::StatusOr<bool>(size_t better, size_t worse)>
        is_better) {
  return StandingsOf(
      points,
      [&](size_t a, size_t b) { return points[a].cost <= points[b].cost; },
      is_better);
}

absl::StatusOr<std::vector<ParetoStanding>> StandingsOf(
    absl::Span<const ParetoPoint> points,
    absl::FunctionRef<bool(size_t a, size_t b)> costs_at_most,
    absl::FunctionRef<absl::StatusOr<bool>(size_t better, size_t worse)>
        is_better) {
  for (size_t i = 0; i < points.size(); ++i) {
    if (!std::isfinite(points[i].cost) || !std::isfinite(points[i].loss)) {
      return absl::InvalidArgumentError(
          absl::StrCat("point ", i, " has cost ", points[i].cost, " and loss ",
                       points[i].loss, "; both must be finite"));
    }
  }
  std::vector<ParetoStanding> standings(points.size());
  for (size_t p = 0; p < points.size(); ++p) {
    std::vector<size_t> better;
    bool is_beaten = false;
    for (size_t q = 0; q < points.size(); ++q) {
      is_beaten = is_beaten || Beats(points[q], points[p]);
      if (points[q].loss < points[p].loss && costs_at_most(q, p)) {
        better.push_back(q);
      }
    }
    if (is_beaten) standings[p].standing = Standing::kTied;
    // The best first: it is the likeliest to be significantly better, which
    // saves asking for the others.
    std::stable_sort(better.begin(), better.end(), [&](size_t a, size_t b) {
      return points[a].loss < points[b].loss;
    });
    for (const size_t q : better) {
      ASSIGN_OR_RETURN(const bool is_significant, is_better(q, p));
      if (!is_significant) continue;
      standings[p] = {Standing::kDominated, q};
      break;
    }
  }
  return standings;
}

double NormalUpperQuantile(double alpha) {
  // The tail erfc(x / sqrt 2) / 2 falls strictly, and below 40 it is above
  // every positive double.
  double low = 0, high = 40;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(middle / std::sqrt(2.0)) / 2 > alpha ? low : high) = middle;
  }
  return (low + high) / 2;
}

double StudentUpperQuantile(double alpha, int degrees) {
  // In the angle x = atan(t / sqrt n), which is bounded, the probability of
  // -t .. t is a finite sum (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4).
  const auto inner = [&](double x) {
    const double sine = std::sin(x), cosine = std::cos(x);
    const bool is_odd = degrees % 2 == 1;
    double term = is_odd ? cosine : 1, sum = degrees == 1 ? 0 : term;
    for (int k = is_odd ? 3 : 2; k < degrees; k += 2) {
      term *= cosine * cosine * (k - 1) / k;
      sum += term;
    }
    return is_odd ? (x + sine * sum) / std::acos(0.0) : sine * sum;
  };
  double low = 0, high = std::acos(0.0);
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    ((1 - inner(middle)) / 2 > alpha ? low : high) = middle;
  }
  return std::sqrt(static_cast<double>(degrees)) * std::tan((low + high) / 2);
}

absl::StatusOr<bool> IsLower(const MeanWithError& a, const MeanWithError& b,
                             double alpha) {
  for (const MeanWithError& value : {a, b}) {
    if (!std::isfinite(value.mean) || !std::isfinite(value.error) ||
        value.error < 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          value.mean, " +/- ", value.error, " is no mean with an error"));
    }
  }
  if (!(alpha > 0 && alpha <= 0.5)) {
    return absl::InvalidArgumentError(
        absl::StrCat("alpha ", alpha, " is not in 0..0.5"));
  }
  const double error = std::hypot(a.error, b.error);
  return a.mean - b.mean + NormalUpperQuantile(alpha) * error < 0;
}

}  // namespace quantd
