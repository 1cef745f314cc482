#include "evaluators/bit_suggestion.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

constexpr double kKlPerBit = 0.25;

// Budgets are sums of products in floating point: what they may be wrong by, as
// a share of all bits. Of 10^12 bits it is one.
constexpr double kRounding = 1e-12;

double KlAt(const UnitCost& unit, int change) {
  return unit.kl * std::pow(kKlPerBit, change);
}

int FewestChange(const UnitCost& unit) {
  int change = std::max(unit.changes.least, -kMaxBitChange);
  while (change < 0 && unit.bits_per_weight + change < 1) ++change;
  return change;
}

int MostChange(const UnitCost& unit) {
  return std::min(unit.changes.most, kMaxBitChange);
}

double PredictedKl(absl::Span<const UnitCost> units,
                   const std::vector<int>& changes) {
  double kl = 0;
  for (size_t u = 0; u < units.size(); ++u) kl += KlAt(units[u], changes[u]);
  return kl;
}

double WeightsOf(absl::Span<const UnitCost> units) {
  double weights = 0;
  for (const UnitCost& unit : units) {
    weights += static_cast<double>(unit.weights);
  }
  return weights;
}

double BitsOf(absl::Span<const UnitCost> units) {
  double bits = 0;
  for (const UnitCost& unit : units) {
    bits += static_cast<double>(unit.weights) * unit.bits_per_weight;
  }
  return bits;
}

// Bits by which `changes` differ from those of now.
int64_t Spent(absl::Span<const UnitCost> units,
              const std::vector<int>& changes) {
  int64_t bits = 0;
  for (size_t u = 0; u < units.size(); ++u) {
    bits += static_cast<int64_t>(units[u].weights) * changes[u];
  }
  return bits;
}

// Adds bits to `changes` as long as they differ from those of now by at most
// `budget`.
std::vector<int> Greedy(absl::Span<const UnitCost> units, int64_t budget,
                        std::vector<int> changes) {
  int64_t free = budget - Spent(units, changes);
  while (true) {
    size_t best = units.size();
    double most = -1;
    for (size_t u = 0; u < units.size(); ++u) {
      if (changes[u] >= MostChange(units[u]) ||
          static_cast<int64_t>(units[u].weights) > free) {
        continue;
      }
      const double saved =
          (KlAt(units[u], changes[u]) - KlAt(units[u], changes[u] + 1)) /
          static_cast<double>(units[u].weights);
      if (saved > most) {
        most = saved;
        best = u;
      }
    }
    if (best == units.size()) return changes;
    ++changes[best];
    free -= static_cast<int64_t>(units[best].weights);
  }
}

std::vector<int> BestChanges(absl::Span<const UnitCost> units, int64_t budget) {
  std::vector<int> fewest;
  for (const UnitCost& unit : units) fewest.push_back(FewestChange(unit));
  std::vector<int> from_fewest = Greedy(units, budget, fewest);
  if (budget < 0) return from_fewest;
  std::vector<int> from_now =
      Greedy(units, budget, std::vector<int>(units.size(), 0));
  return PredictedKl(units, from_fewest) < PredictedKl(units, from_now)
             ? from_fewest
             : from_now;
}

}  // namespace

absl::Status CheckTargetBits(absl::Span<const UnitCost> units,
                             double target_bits) {
  if (target_bits == 0) return absl::OkStatus();
  if (units.empty()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("attribution_target_bits %g: nothing of the target is "
                        "compressed, so there are no bits to move",
                        target_bits));
  }
  const double weights = WeightsOf(units), bits = BitsOf(units);
  double fewest = bits, most = bits;
  for (const UnitCost& unit : units) {
    const double size = static_cast<double>(unit.weights);
    fewest += size * FewestChange(unit);
    most += size * MostChange(unit);
  }
  const double slack = kRounding * bits;
  // NaN fails it too.
  if (target_bits * weights >= fewest - slack &&
      target_bits * weights <= most + slack) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrFormat(
      "attribution_target_bits %g: the %d compressed units, at %.4g bits per "
      "weight now, can take %.4g to %.4g (at most %d bits less or more each, "
      "as far as their method goes); compress anew near the target first",
      target_bits, units.size(), bits / weights, fewest / weights,
      most / weights, kMaxBitChange));
}

absl::StatusOr<v1::BitSuggestion> SuggestBits(absl::Span<const UnitCost> units,
                                              double target_bits) {
  RETURN_IF_ERROR(CheckTargetBits(units, target_bits));
  v1::BitSuggestion suggestion;
  suggestion.set_target_bits_per_weight(target_bits);
  if (units.empty()) return suggestion;
  const double weights = WeightsOf(units), bits = BitsOf(units);
  const int64_t budget =
      target_bits == 0 ? 0
                       : static_cast<int64_t>(std::floor(
                             target_bits * weights - bits + kRounding * bits));
  const std::vector<int> changes = BestChanges(units, budget);
  double suggested = 0;
  for (size_t u = 0; u < units.size(); ++u) {
    const UnitCost& unit = units[u];
    v1::UnitBits& out = *suggestion.add_units();
    out.set_name(unit.name);
    out.set_bits_per_weight(unit.bits_per_weight);
    out.set_suggested_bits_per_weight(unit.bits_per_weight + changes[u]);
    out.set_change(changes[u]);
    suggested +=
        static_cast<double>(unit.weights) * out.suggested_bits_per_weight();
  }
  suggestion.set_bits_per_weight(bits / weights);
  suggestion.set_suggested_bits_per_weight(suggested / weights);
  suggestion.set_kl(PredictedKl(units, std::vector<int>(units.size(), 0)));
  suggestion.set_predicted_kl(PredictedKl(units, changes));
  return suggestion;
}

}  // namespace quantd
