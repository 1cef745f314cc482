#include "base/multiplicity.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

// Indices of the values, smallest value first.
absl::StatusOr<std::vector<size_t>> RisingOrder(
    absl::Span<const double> p_values) {
  for (size_t i = 0; i < p_values.size(); ++i) {
    if (!(p_values[i] >= 0 && p_values[i] <= 1)) {
      return absl::InvalidArgumentError(
          absl::StrCat("test ", i, " has the p value ", p_values[i]));
    }
  }
  std::vector<size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return p_values[a] < p_values[b];
  });
  return order;
}

}  // namespace

absl::StatusOr<std::vector<double>> HolmAdjusted(
    absl::Span<const double> p_values) {
  ASSIGN_OR_RETURN(const std::vector<size_t> order, RisingOrder(p_values));
  std::vector<double> adjusted(p_values.size());
  double largest = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    const double factor = static_cast<double>(order.size() - i);
    largest = std::max(largest, std::min(1.0, factor * p_values[order[i]]));
    adjusted[order[i]] = largest;
  }
  return adjusted;
}

absl::StatusOr<std::vector<double>> BenjaminiHochbergAdjusted(
    absl::Span<const double> p_values) {
  ASSIGN_OR_RETURN(const std::vector<size_t> order, RisingOrder(p_values));
  std::vector<double> adjusted(p_values.size());
  const double count = static_cast<double>(order.size());
  double smallest = 1;
  for (size_t i = order.size(); i-- > 0;) {
    const double rank = static_cast<double>(i + 1);
    smallest = std::min(smallest, count * p_values[order[i]] / rank);
    adjusted[order[i]] = smallest;
  }
  return adjusted;
}

}  // namespace quantd
