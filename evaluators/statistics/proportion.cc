#include "evaluators/statistics/proportion.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/statistics/special_functions.h"

namespace quantd {
namespace {

absl::Status CheckConfidence(double confidence) {
  if (confidence > 0 && confidence < 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("confidence ", confidence, " is not between 0 and 1"));
}

// Tango's statistic at a supposed difference d; it falls as d rises.
double TangoStatistic(double b, double c, double n, double d) {
  const double quadratic = 2 * n;
  const double linear = d * (2 * n - b + c) - b - c;
  const double constant = -c * d * (1 - d);
  const double root =
      std::sqrt(std::max(0.0, linear * linear - 4 * quadratic * constant));
  // Of the two forms of the larger root the one without cancellation.
  double q = linear <= 0 ? (root - linear) / (2 * quadratic)
                         : -2 * constant / (root + linear);
  q = std::max(q, std::max(0.0, -d));
  const double numerator = b - c - n * d;
  const double variance = n * (2 * q + d * (1 - d));
  if (variance > 0) return numerator / std::sqrt(variance);
  if (numerator == 0) return 0;
  return std::copysign(std::numeric_limits<double>::infinity(), numerator);
}

// The end of the interval between `inside` and `outside`, by bisection down to
// neighbouring doubles or, near 0, to 2^-200.
double TangoEnd(double b, double c, double n, double z, double inside,
                double outside) {
  for (int step = 0; step < 200; ++step) {
    const double middle = (inside + outside) / 2;
    if (middle == inside || middle == outside) break;
    if (std::abs(TangoStatistic(b, c, n, middle)) <= z) {
      inside = middle;
    } else {
      outside = middle;
    }
  }
  return inside;
}

}  // namespace

absl::StatusOr<Interval> WilsonInterval(double right, uint64_t n,
                                        double confidence) {
  RETURN_IF_ERROR(CheckConfidence(confidence));
  if (n == 0) return absl::InvalidArgumentError("no items");
  const double count = static_cast<double>(n);
  if (!(right >= 0 && right <= count)) {
    return absl::InvalidArgumentError(
        absl::StrCat(right, " right answers of ", n, " items"));
  }
  const double p = right / count;
  const double z = NormalQuantile((1 + confidence) / 2);
  const double shrink = 1 + z * z / count;
  const double centre = (p + z * z / (2 * count)) / shrink;
  const double half =
      z * std::sqrt(p * (1 - p) / count + z * z / (4 * count * count)) / shrink;
  return Interval{std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

absl::StatusOr<double> BinomialStandardError(double p, uint64_t n) {
  if (n < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("a standard error needs two items, there is ", n));
  }
  if (!(p >= 0 && p <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat("share ", p, " of items"));
  }
  return std::sqrt(p * (1 - p) / static_cast<double>(n - 1));
}

absl::StatusOr<Interval> TangoInterval(uint64_t b, uint64_t c, uint64_t n,
                                       double confidence) {
  RETURN_IF_ERROR(CheckConfidence(confidence));
  if (n == 0) return absl::InvalidArgumentError("no items");
  if (b > n || c > n - b) {
    return absl::InvalidArgumentError(
        absl::StrCat(b, " and ", c, " discordant of ", n, " items"));
  }
  const double z = NormalQuantile((1 + confidence) / 2);
  const double first = static_cast<double>(b);
  const double second = static_cast<double>(c);
  const double count = static_cast<double>(n);
  const double estimate = (first - second) / count;
  return Interval{TangoEnd(first, second, count, z, estimate, -1),
                  TangoEnd(first, second, count, z, estimate, 1)};
}

}  // namespace quantd
