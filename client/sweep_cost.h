// What a compression costs, as a sweep ranks by it: what the artifact weighs,
// and how fast the model is and what memory it takes where a metric efficiency/
// measured that. One table has them all.
//
// Thread-safe: free functions of their arguments.
#ifndef QUANTD_CLIENT_SWEEP_COST_H_
#define QUANTD_CLIENT_SWEEP_COST_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

enum class SweepCostKind {
  kBitsPerWeight,
  kSizeBytes,
  kPromptSpeed,
  kGenerationSpeed,
  // Over those of the original, measured in turns: what slows the machine slows
  // both, and points that were measured hours apart can be compared.
  kPromptRatio,
  kGenerationRatio,
  kLoadedBytes,
  kPeakBytes,
};

// A value with the standard error of a mean over repetitions.
struct CostValue {
  double value = 0;
  double error = 0;
  // 0: not a mean, without error.
  uint32_t repetitions = 0;
};

struct SweepCostRow {
  SweepCostKind kind;
  // In JSON, of --cost, and of files: "generated_tokens_per_second".
  const char* name;
  // Behind BY over a column: "SPEED".
  const char* heading;
  // In a title, and at an axis with the unit that values are divided by.
  const char* title;
  const char* axis;
  double unit;
  bool more_is_better;
  // Null: not from a report of efficiency. Nothing: not in this one.
  std::optional<CostValue> (*measured)(const v1::EfficiencyReport& report);
};

absl::Span<const SweepCostRow> SweepCosts();
const SweepCostRow& CostRowOf(SweepCostKind kind);
// InvalidArgument with the known names.
absl::StatusOr<SweepCostKind> ParseSweepCost(absl::string_view name);

// A cost of the table; of a measured one, by which metric.
struct SweepCost {
  SweepCostKind kind = SweepCostKind::kBitsPerWeight;
  std::string metric;  // "efficiency/pp512-tg128"

  bool operator==(const SweepCost& other) const {
    return kind == other.kind && metric == other.metric;
  }
};

// "pp512-tg128" of a measured cost.
std::string MetricText(const SweepCost& cost);

// The evaluation's report of that metric; null when it has none.
const v1::EfficiencyReport* FindEfficiency(const v1::Evaluation& evaluation,
                                           absl::string_view metric);

// What counts as no worse where costs are measured.
struct CostTerms {
  // A share of the cost.
  double margin = 0.05;
  // Of the test, one-sided.
  double alpha = 0.05;
};

// Whether `a` costs at most what `b` does. What is not measured is compared as
// it is. Of what is, equal models differ by noise: `a` may be worse by less
// than the margin, and where values have errors that has to be sure, by Welch's
// test of level alpha. A mean of one repetition is never sure.
bool CostsAtMost(SweepCostKind kind, const CostValue& a, const CostValue& b,
                 const CostTerms& terms);

}  // namespace quantd

#endif  // QUANTD_CLIENT_SWEEP_COST_H_
