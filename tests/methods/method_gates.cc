#include "tests/methods/method_gates.h"

#include <optional>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace quantd::test {
namespace {

std::optional<double> Quantity(const MethodResult& result,
                               absl::string_view name) {
  if (name == "kl") return result.kl;
  if (name == "log_ratio") return result.log_ratio;
  if (name == "output_error" && result.output_error >= 0) {
    return result.output_error;
  }
  if (name == "weight_error" && result.weight_error >= 0) {
    return result.weight_error;
  }
  return std::nullopt;
}

struct Side {
  std::string row;
  double value = 0;
};

std::optional<Side> Evaluate(const std::string& side,
                             const std::string& quantity,
                             const MethodResults& results) {
  absl::string_view bound = side;
  double most = 0;
  if (absl::ConsumePrefix(&bound, "best<=")) {
    if (!absl::SimpleAtod(bound, &most)) return std::nullopt;
    std::optional<Side> best;
    for (const auto& [id, result] : results) {
      const auto value = Quantity(result, quantity);
      if (!value.has_value() || result.stored_bits > most) continue;
      if (!best.has_value() || *value < best->value) best = Side{id, *value};
    }
    return best;
  }
  const auto it = results.find(side);
  if (it == results.end()) return std::nullopt;
  const auto value = Quantity(it->second, quantity);
  if (!value.has_value()) return std::nullopt;
  return Side{side, *value};
}

GateVerdict JudgeOne(const MethodGate& gate, const MethodResults& results) {
  GateVerdict verdict;
  verdict.name = gate.name;
  const auto left = Evaluate(gate.left, gate.quantity, results);
  const auto right = Evaluate(gate.right, gate.quantity, results);
  if (!left.has_value() || !right.has_value()) {
    verdict.measured = false;
    verdict.numbers = "not measured";
    return verdict;
  }
  verdict.holds = left->value <= gate.factor * right->value;
  verdict.numbers =
      absl::StrFormat("%s: %s %.5f %s %s%s %.5f", gate.quantity, left->row,
                      left->value, verdict.holds ? "<=" : ">",
                      gate.factor == 1 ? "" : absl::StrCat(gate.factor, " x "),
                      right->row, right->value);
  return verdict;
}

}  // namespace

std::vector<GateVerdict> JudgeGates(const MethodComparison& comparison,
                                    const MethodResults& results) {
  std::vector<GateVerdict> verdicts;
  for (const MethodRow& row : comparison.rows) {
    const auto it = results.find(row.id);
    if (it == results.end() || !it->second.calibrated) continue;
    const MethodResult& own = it->second;
    const MethodResult* rival = nullptr;
    std::string rival_id;
    for (const MethodRow& other : comparison.rows) {
      if (other.method != "rtn") continue;
      const auto found = results.find(other.id);
      if (found == results.end() ||
          found->second.stored_bits < own.stored_bits) {
        continue;
      }
      // Of two that store the same, the nearer one to the original.
      if (rival == nullptr ||
          std::tie(found->second.stored_bits, found->second.kl) <
              std::tie(rival->stored_bits, rival->kl)) {
        rival = &found->second;
        rival_id = other.id;
      }
    }
    if (rival == nullptr) continue;
    GateVerdict verdict;
    verdict.name = absl::StrCat(
        row.id, " is nearer to the original than RTN of at least its bits");
    verdict.holds = own.kl < rival->kl;
    verdict.numbers = absl::StrFormat(
        "kl: %.5f at %.3f bits %s %.5f at %.3f bits (%s)", own.kl,
        own.stored_bits, verdict.holds ? "<" : ">=", rival->kl,
        rival->stored_bits, rival_id);
    verdicts.push_back(std::move(verdict));
  }
  for (const MethodGate& gate : comparison.gates) {
    verdicts.push_back(JudgeOne(gate, results));
  }
  return verdicts;
}

}  // namespace quantd::test
