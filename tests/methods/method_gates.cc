#include "tests/methods/method_gates.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
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
  if (name == "unimproved_blocks" && result.unimproved_blocks >= 0) {
    return result.unimproved_blocks;
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
  // Of a gate against a number.
  Side number = {"", 0};
  if (absl::SimpleAtod(side, &number.value)) return number;
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
  absl::StrReplaceAll({{"  ", " "}}, &verdict.numbers);
  return verdict;
}

struct Rung {
  double bits = 0;
  double log_kl = 0;
};

// The lower convex hull of the rows of "rtn", by bits (Andrew's monotone
// chain).
std::vector<Rung> RtnHull(const MethodComparison& comparison,
                          const MethodResults& results) {
  std::vector<Rung> rungs;
  for (const MethodRow& row : comparison.rows) {
    const auto it = results.find(row.id);
    if (row.method != "rtn" || it == results.end() || it->second.kl <= 0) {
      continue;
    }
    rungs.push_back({it->second.stored_bits, std::log(it->second.kl)});
  }
  std::sort(rungs.begin(), rungs.end(), [](const Rung& a, const Rung& b) {
    return std::tie(a.bits, a.log_kl) < std::tie(b.bits, b.log_kl);
  });
  std::vector<Rung> hull;
  for (const Rung& rung : rungs) {
    while (hull.size() >= 2) {
      const Rung& a = hull[hull.size() - 2];
      const Rung& b = hull.back();
      if ((b.bits - a.bits) * (rung.log_kl - a.log_kl) >
          (rung.bits - a.bits) * (b.log_kl - a.log_kl)) {
        break;
      }
      hull.pop_back();
    }
    if (!hull.empty() && hull.back().bits == rung.bits) continue;
    hull.push_back(rung);
  }
  return hull;
}

// KL on the hull; of its first rung where it has not begun, and nothing behind
// its end.
std::optional<double> HullKl(const std::vector<Rung>& hull, double bits) {
  if (hull.empty() || bits > hull.back().bits) return std::nullopt;
  if (bits <= hull.front().bits) return std::exp(hull.front().log_kl);
  size_t next = 1;
  while (hull[next].bits < bits) ++next;
  const Rung& a = hull[next - 1];
  const Rung& b = hull[next];
  return std::exp(a.log_kl +
                  (b.log_kl - a.log_kl) * (bits - a.bits) / (b.bits - a.bits));
}

}  // namespace

std::vector<GateVerdict> JudgeGates(const MethodComparison& comparison,
                                    const MethodResults& results) {
  std::vector<GateVerdict> verdicts;
  const std::vector<Rung> hull = RtnHull(comparison, results);
  for (const MethodRow& row : comparison.rows) {
    const auto it = results.find(row.id);
    if (it == results.end() || !it->second.calibrated) continue;
    const MethodResult& own = it->second;
    const std::optional<double> rival = HullKl(hull, own.stored_bits);
    if (!rival.has_value()) continue;
    GateVerdict verdict;
    verdict.name =
        absl::StrCat(row.id, " is nearer to the original than RTN at its bits");
    verdict.holds = own.kl < *rival;
    verdict.numbers =
        absl::StrFormat("kl at %.3f bits: %.5f %s %.5f", own.stored_bits,
                        own.kl, verdict.holds ? "<" : ">=", *rival);
    verdicts.push_back(std::move(verdict));
  }
  for (const MethodGate& gate : comparison.gates) {
    verdicts.push_back(JudgeOne(gate, results));
  }
  return verdicts;
}

}  // namespace quantd::test
