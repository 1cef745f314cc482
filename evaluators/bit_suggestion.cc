#include "evaluators/bit_suggestion.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace quantd {
namespace {

constexpr double kKlPerBit = 0.25;

double KlAt(const UnitCost& unit, int change) {
  return unit.kl * std::pow(kKlPerBit, change);
}

int FewestChange(const UnitCost& unit) {
  int change = -kMaxBitChange;
  while (change < 0 && unit.bits_per_weight + change < 1) ++change;
  return change;
}

double PredictedKl(absl::Span<const UnitCost> units,
                   const std::vector<int>& changes) {
  double kl = 0;
  for (size_t u = 0; u < units.size(); ++u) kl += KlAt(units[u], changes[u]);
  return kl;
}

std::vector<int> GreedyChanges(absl::Span<const UnitCost> units) {
  std::vector<int> changes;
  // What was taken and not given back, in bits.
  uint64_t free = 0;
  for (const UnitCost& unit : units) {
    changes.push_back(FewestChange(unit));
    free += unit.weights * static_cast<uint64_t>(-changes.back());
  }
  while (true) {
    size_t best = units.size();
    double most = -1;
    for (size_t u = 0; u < units.size(); ++u) {
      if (changes[u] == kMaxBitChange || units[u].weights > free) continue;
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
    free -= units[best].weights;
  }
}

}  // namespace

v1::BitSuggestion SuggestBits(absl::Span<const UnitCost> units) {
  std::vector<int> changes = GreedyChanges(units);
  const std::vector<int> none(units.size(), 0);
  const double kl = PredictedKl(units, none);
  if (!(PredictedKl(units, changes) < kl)) changes = none;
  v1::BitSuggestion suggestion;
  double weights = 0, bits = 0, suggested = 0;
  for (size_t u = 0; u < units.size(); ++u) {
    const UnitCost& unit = units[u];
    v1::UnitBits& out = *suggestion.add_units();
    out.set_name(unit.name);
    out.set_bits_per_weight(unit.bits_per_weight);
    out.set_suggested_bits_per_weight(unit.bits_per_weight + changes[u]);
    out.set_change(changes[u]);
    const double size = static_cast<double>(unit.weights);
    weights += size;
    bits += size * unit.bits_per_weight;
    suggested += size * out.suggested_bits_per_weight();
  }
  if (units.empty()) return suggestion;
  suggestion.set_bits_per_weight(bits / weights);
  suggestion.set_suggested_bits_per_weight(suggested / weights);
  suggestion.set_kl(kl);
  suggestion.set_predicted_kl(PredictedKl(units, changes));
  return suggestion;
}

}  // namespace quantd
