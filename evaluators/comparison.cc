#include "evaluators/comparison.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/message_differencer.h"

namespace quantd {
namespace {

using google::protobuf::util::MessageDifferencer;

bool Comparable(const v1::PerplexityReport& a, const v1::PerplexityReport& b) {
  return MessageDifferencer::Equals(a.tag(), b.tag()) &&
         a.window_nll_size() == b.window_nll_size() && a.window_nll_size() > 0;
}

// The first field in which the nearest tags differ, for the message.
std::string DifferenceOf(const v1::Evaluation& baseline,
                         const v1::Evaluation& candidate) {
  if (baseline.perplexities().empty() || candidate.perplexities().empty()) {
    return "one of them has no perplexity";
  }
  std::string report;
  MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&report);
  differencer.Compare(baseline.perplexities(0).tag(),
                      candidate.perplexities(0).tag());
  return report;
}

}  // namespace

absl::StatusOr<v1::Comparison> CompareEvaluations(
    const v1::Evaluation& baseline, const v1::Evaluation& candidate) {
  for (const v1::PerplexityReport& b : baseline.perplexities()) {
    for (const v1::PerplexityReport& c : candidate.perplexities()) {
      if (!Comparable(b, c)) continue;
      v1::Comparison comparison;
      comparison.set_baseline(baseline.name());
      comparison.set_candidate(candidate.name());
      *comparison.mutable_tag() = b.tag();
      comparison.set_baseline_perplexity(b.perplexity());
      comparison.set_candidate_perplexity(c.perplexity());
      // Windows have equal numbers of targets, so the mean of window means is
      // the mean over tokens.
      const double n = b.window_nll_size();
      double mean = 0;
      for (int i = 0; i < b.window_nll_size(); ++i) {
        mean += (c.window_nll(i) - b.window_nll(i)) / n;
      }
      double squares = 0;
      for (int i = 0; i < b.window_nll_size(); ++i) {
        const double d = c.window_nll(i) - b.window_nll(i) - mean;
        squares += d * d;
      }
      const double error = n > 1 ? std::sqrt(squares / (n * (n - 1))) : 0;
      comparison.set_log_ratio(mean);
      comparison.set_log_ratio_error(error);
      comparison.set_ratio(std::exp(mean));
      comparison.set_ratio_error(std::exp(mean) * error);
      return comparison;
    }
  }
  return absl::FailedPreconditionError(
      absl::StrCat(baseline.name(), " and ", candidate.name(),
                   " share no metric under the same tag: ",
                   DifferenceOf(baseline, candidate)));
}

}  // namespace quantd
