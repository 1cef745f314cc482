#include "evaluators/logit_divergence.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace quantd {
namespace {

// What one row is by itself.
struct RowSummary {
  double log_sum = 0;  // logsumexp
  // The likeliest ids, likeliest first, -1 behind the last.
  std::array<int32_t, kTopTokens> top = {};
};

// Writes exp(row - max) to `exponentials`; their sum is in the summary.
RowSummary Summarize(absl::Span<const float> row,
                     std::vector<double>* exponentials, double* sum) {
  RowSummary summary;
  summary.top.fill(-1);
  std::array<float, kTopTokens> values = {};
  int held = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    const float value = row[i];
    if (held == kTopTokens && !(value > values[kTopTokens - 1])) continue;
    int at = held < kTopTokens ? held : kTopTokens - 1;
    for (; at > 0 && value > values[static_cast<size_t>(at - 1)]; --at) {
      values[static_cast<size_t>(at)] = values[static_cast<size_t>(at - 1)];
      summary.top[static_cast<size_t>(at)] =
          summary.top[static_cast<size_t>(at - 1)];
    }
    values[static_cast<size_t>(at)] = value;
    summary.top[static_cast<size_t>(at)] = static_cast<int32_t>(i);
    held = std::min(held + 1, kTopTokens);
  }
  const double max = values[0];
  exponentials->resize(row.size());
  *sum = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    const double e = std::exp(static_cast<double>(row[i]) - max);
    (*exponentials)[i] = e;
    *sum += e;
  }
  summary.log_sum = max + std::log(*sum);
  return summary;
}

double TopOverlap(const RowSummary& a, const RowSummary& b) {
  int compared = 0;
  int shared = 0;
  for (const int32_t id : a.top) {
    if (id < 0) continue;
    ++compared;
    if (std::find(b.top.begin(), b.top.end(), id) != b.top.end()) ++shared;
  }
  return static_cast<double>(shared) / compared;
}

// Rounding may leave a distance a few units in the last place below 0. NaN
// stays NaN.
double AtLeastZero(double distance) { return distance < 0 ? 0 : distance; }

}  // namespace

TargetDivergence CompareLogits(absl::Span<const float> baseline,
                               absl::Span<const float> candidate,
                               int32_t target, DivergenceScratch* scratch) {
  double p_sum = 0;
  double q_sum = 0;
  const RowSummary p_row = Summarize(baseline, &scratch->baseline, &p_sum);
  const RowSummary q_row = Summarize(candidate, &scratch->candidate, &q_sum);
  TargetDivergence result;
  double kl = 0, reverse = 0, js = 0;
  for (size_t i = 0; i < baseline.size(); ++i) {
    const double p = scratch->baseline[i] / p_sum;
    const double q = scratch->candidate[i] / q_sum;
    const double ln_p = static_cast<double>(baseline[i]) - p_row.log_sum;
    const double ln_q = static_cast<double>(candidate[i]) - q_row.log_sum;
    const double d = ln_p - ln_q;
    // 0 ln 0 is 0.
    if (p != 0) {
      kl += p * d;
      result.baseline_entropy -= p * ln_p;
    }
    if (q != 0) {
      reverse -= q * d;
      result.candidate_entropy -= q * ln_q;
    }
    // ln m relative to the larger of the two, so that neither underflows and
    // equal ones give ln 1: ln m = ln max + ln((1 + min / max) / 2).
    const double larger = p > q ? p : q;
    if (larger != 0) {
      const double smaller = p > q ? q : p;
      const double ln_m = std::log((1 + smaller / larger) / 2);
      const double above = p > q ? ln_p : ln_q;
      if (p != 0) js += p * (ln_p - above - ln_m);
      if (q != 0) js += q * (ln_q - above - ln_m);
    }
  }
  result.kl = AtLeastZero(kl);
  result.reverse_kl = AtLeastZero(reverse);
  result.js = AtLeastZero(js / 2);
  const size_t at = static_cast<size_t>(target);
  result.baseline_nll = p_row.log_sum - static_cast<double>(baseline[at]);
  result.candidate_nll = q_row.log_sum - static_cast<double>(candidate[at]);
  result.baseline_top = p_row.top[0];
  result.candidate_top = q_row.top[0];
  result.baseline_confidence = 1 / p_sum;
  result.candidate_confidence = 1 / q_sum;
  result.top_overlap = TopOverlap(p_row, q_row);
  return result;
}

}  // namespace quantd
