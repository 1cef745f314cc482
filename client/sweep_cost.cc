#include "client/sweep_cost.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/pareto.h"

namespace quantd {
namespace {

constexpr double kMebibyte = 1 << 20;

CostValue MeanOf(const v1::Measurement& measurement, uint32_t repetitions) {
  CostValue value;
  value.value = measurement.mean();
  value.repetitions = repetitions;
  if (repetitions > 0) {
    value.error =
        measurement.deviation() / std::sqrt(static_cast<double>(repetitions));
  }
  return value;
}

using Measured = std::optional<CostValue>;

Measured RatioOf(bool is_known, const v1::SpeedRatio& ratio,
                 uint32_t repetitions) {
  if (!is_known) return std::nullopt;
  return CostValue{ratio.ratio(), ratio.error(), repetitions};
}

constexpr std::array<SweepCostRow, 8> kCosts = {{
    {SweepCostKind::kBitsPerWeight, "bits_per_weight", "BITS",
     "bits per weight", "bits per weight", 1, false, nullptr},
    {SweepCostKind::kSizeBytes, "size_bytes", "SIZE", "size", "size, MiB",
     kMebibyte, false, nullptr},
    {SweepCostKind::kPromptSpeed, "prompt_tokens_per_second", "PROMPT SPEED",
     "speed over a prompt", "tokens per second over a prompt", 1, true,
     [](const v1::EfficiencyReport& report) -> Measured {
       return MeanOf(report.target().prompt(), report.repetitions());
     }},
    {SweepCostKind::kGenerationSpeed, "generated_tokens_per_second", "SPEED",
     "speed, one token at a time", "tokens per second, one at a time", 1, true,
     [](const v1::EfficiencyReport& report) -> Measured {
       return MeanOf(report.target().generation(), report.repetitions());
     }},
    {SweepCostKind::kPromptRatio, "prompt_speed_ratio", "PROMPT SPEED RATIO",
     "speed over a prompt", "speed over a prompt / original's", 1, true,
     [](const v1::EfficiencyReport& report) -> Measured {
       return RatioOf(report.has_prompt_ratio(), report.prompt_ratio(),
                      report.repetitions());
     }},
    {SweepCostKind::kGenerationRatio, "generation_speed_ratio", "SPEED RATIO",
     "speed, one token at a time", "speed, one token at a time / original's", 1,
     true,
     [](const v1::EfficiencyReport& report) -> Measured {
       return RatioOf(report.has_generation_ratio(), report.generation_ratio(),
                      report.repetitions());
     }},
    {SweepCostKind::kLoadedBytes, "loaded_bytes", "LOADED MEMORY",
     "memory taken by load", "memory taken by load, MiB", kMebibyte, false,
     [](const v1::EfficiencyReport& report) -> Measured {
       return CostValue{static_cast<double>(report.target().loaded_bytes()), 0,
                        0};
     }},
    {SweepCostKind::kPeakBytes, "peak_resident_bytes", "PEAK MEMORY",
     "peak memory", "peak resident memory, MiB", kMebibyte, false,
     [](const v1::EfficiencyReport& report) -> Measured {
       return CostValue{static_cast<double>(report.peak_resident_bytes()), 0,
                        0};
     }},
}};

// Degrees of freedom of the difference of two means (Welch 1947), rounded down.
int WelchDegrees(double a_error, uint32_t a_count, double b_error,
                 uint32_t b_count) {
  const double a = a_error * a_error, b = b_error * b_error;
  const double degrees =
      (a + b) * (a + b) / (a * a / (a_count - 1) + b * b / (b_count - 1));
  // The quantile hardly moves beyond.
  constexpr double kMany = 1000;
  return static_cast<int>(std::clamp(degrees, 1.0, kMany));
}

}  // namespace

absl::Span<const SweepCostRow> SweepCosts() { return kCosts; }

const SweepCostRow& CostRowOf(SweepCostKind kind) {
  return kCosts[static_cast<size_t>(kind)];
}

absl::StatusOr<SweepCostKind> ParseSweepCost(absl::string_view name) {
  std::vector<std::string> names;
  for (const SweepCostRow& row : kCosts) {
    if (row.name == name) return row.kind;
    names.push_back(row.name);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "no cost \"", name, "\"; known: ", absl::StrJoin(names, ", ")));
}

std::string MetricText(const SweepCost& cost) {
  return std::string(absl::StripPrefix(cost.metric, "efficiency/"));
}

const v1::EfficiencyReport* FindEfficiency(const v1::Evaluation& evaluation,
                                           absl::string_view metric) {
  for (const v1::EfficiencyReport& report : evaluation.efficiencies()) {
    if (report.metric() == metric) return &report;
  }
  return nullptr;
}

bool CostsAtMost(SweepCostKind kind, const CostValue& a, const CostValue& b,
                 const CostTerms& terms) {
  const SweepCostRow& row = CostRowOf(kind);
  const double margin = row.measured == nullptr ? 0 : terms.margin;
  const double allowed = row.more_is_better ? 1 - margin : 1 + margin;
  // How far `a` is on the right side of the most that it may cost.
  const double room = row.more_is_better ? a.value - allowed * b.value
                                         : allowed * b.value - a.value;
  if (a.repetitions == 0 || b.repetitions == 0) return room >= 0;
  if (a.repetitions == 1 || b.repetitions == 1) return false;
  const double b_error = allowed * b.error;
  const double error = std::hypot(a.error, b_error);
  if (error == 0) return room >= 0;
  return room > error * StudentUpperQuantile(
                            terms.alpha, WelchDegrees(a.error, a.repetitions,
                                                      b_error, b.repetitions));
}

}  // namespace quantd
