#include "evaluators/comparison.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "evaluators/cluster_ratio.h"
#include "google/protobuf/util/message_differencer.h"

namespace quantd {
namespace {

using google::protobuf::util::MessageDifferencer;
using Report = v1::PerplexityReport;

template <typename Values>
bool SameValues(const Values& a, const Values& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

// One for each cluster; all alike where `values` is empty.
template <typename Values>
std::vector<double> PerCluster(const Values& values, int clusters) {
  if (values.empty()) {
    return std::vector<double>(static_cast<size_t>(clusters), 1.0);
  }
  return std::vector<double>(values.begin(), values.end());
}

// What a cluster has of scored tokens, up to a factor common to all.
std::vector<double> TokensOf(const Report& report) {
  return PerCluster(report.cluster_tokens(), report.window_nll_size());
}

std::vector<double> WeightsOf(const Report& report) {
  return report.cluster_weights().empty()
             ? TokensOf(report)
             : PerCluster(report.cluster_weights(), report.window_nll_size());
}

// Reports of one tag have the same clusters; stored ones are held to it.
bool SameClusters(const Report& a, const Report& b) {
  const int clusters = a.window_nll_size();
  const auto fits = [&](int size) { return size == 0 || size == clusters; };
  if (clusters == 0 || b.window_nll_size() != clusters ||
      !SameValues(a.cluster_tokens(), b.cluster_tokens()) ||
      !SameValues(a.cluster_weights(), b.cluster_weights()) ||
      !SameValues(a.cluster_words(), b.cluster_words()) ||
      !SameValues(a.cluster_bytes(), b.cluster_bytes()) ||
      !fits(a.cluster_tokens_size()) || !fits(a.cluster_weights_size()) ||
      !fits(a.cluster_words_size()) || !fits(a.cluster_bytes_size())) {
    return false;
  }
  const std::vector<double> weights = WeightsOf(a);
  return std::accumulate(weights.begin(), weights.end(), 0.0) > 0;
}

// Sums of the differences of every cluster, over `units` of it.
ClusterRatio DifferencePer(const std::vector<double>& units,
                           const std::vector<double>& weights,
                           const Report& baseline, const Report& candidate) {
  std::vector<double> sums;
  for (int i = 0; i < baseline.window_nll_size(); ++i) {
    sums.push_back(weights[static_cast<size_t>(i)] *
                   (candidate.window_nll(i) - baseline.window_nll(i)));
  }
  return RatioOfSums(sums, units);
}

bool CountsWordsAndBytes(const Report& report) {
  return !report.cluster_words().empty() && !report.cluster_bytes().empty();
}

// REQUIRES: both count words and bytes, in equal clusters.
v1::WordsAndBytesComparison CompareWordsAndBytes(const Report& baseline,
                                                 const Report& candidate) {
  // Sums of NLLs, of which equal clusters keep the mean alone.
  std::vector<double> tokens = TokensOf(baseline);
  if (baseline.cluster_tokens().empty()) {
    std::fill(tokens.begin(), tokens.end(), baseline.tokens_per_window());
  }
  const int clusters = baseline.window_nll_size();
  const ClusterRatio words =
      DifferencePer(PerCluster(baseline.cluster_words(), clusters), tokens,
                    baseline, candidate);
  const ClusterRatio bytes =
      DifferencePer(PerCluster(baseline.cluster_bytes(), clusters), tokens,
                    baseline, candidate);
  v1::WordsAndBytesComparison comparison;
  comparison.set_convention(baseline.tag().convention());
  *comparison.mutable_baseline_word_perplexity() = baseline.word_perplexity();
  *comparison.mutable_candidate_word_perplexity() = candidate.word_perplexity();
  comparison.set_word_ratio(std::exp(words.value));
  comparison.set_word_ratio_error(std::exp(words.value) * words.error);
  *comparison.mutable_baseline_byte_perplexity() = baseline.byte_perplexity();
  *comparison.mutable_candidate_byte_perplexity() = candidate.byte_perplexity();
  comparison.set_byte_ratio(std::exp(bytes.value));
  comparison.set_byte_ratio_error(std::exp(bytes.value) * bytes.error);
  *comparison.mutable_baseline_bits_per_byte() = baseline.bits_per_byte();
  *comparison.mutable_candidate_bits_per_byte() = candidate.bits_per_byte();
  const double ln2 = std::log(2.0);
  comparison.set_bits_per_byte_difference(bytes.value / ln2);
  comparison.set_bits_per_byte_difference_error(bytes.error / ln2);
  return comparison;
}

v1::Comparison Compare(const Report& baseline, const Report& candidate) {
  v1::Comparison comparison;
  *comparison.mutable_tag() = baseline.tag();
  comparison.set_baseline_perplexity(baseline.perplexity());
  comparison.set_candidate_perplexity(candidate.perplexity());
  const std::vector<double> weights = WeightsOf(baseline);
  const ClusterRatio log_ratio =
      DifferencePer(weights, weights, baseline, candidate);
  const double ratio = std::exp(log_ratio.value);
  comparison.set_log_ratio(log_ratio.value);
  comparison.set_log_ratio_error(log_ratio.error);
  comparison.set_ratio(ratio);
  comparison.set_ratio_error(ratio * log_ratio.error);
  if (CountsWordsAndBytes(baseline)) {
    const v1::WordsAndBytesComparison own =
        CompareWordsAndBytes(baseline, candidate);
    comparison.set_baseline_word_perplexity(
        own.baseline_word_perplexity().value());
    comparison.set_candidate_word_perplexity(
        own.candidate_word_perplexity().value());
    comparison.set_word_ratio(own.word_ratio());
    comparison.set_word_ratio_error(own.word_ratio_error());
    comparison.set_bits_per_byte_difference(own.bits_per_byte_difference());
    comparison.set_bits_per_byte_difference_error(
        own.bits_per_byte_difference_error());
  }
  return comparison;
}

// Every field in which two tags differ, one a string.
template <typename Tag>
std::vector<std::string> DifferencesOf(const Tag& a, const Tag& b) {
  std::string text;
  MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&text);
  differencer.Compare(a, b);
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

// The differences of the two tags that differ in the fewest fields, for the
// message.
std::string DifferenceOf(const v1::Evaluation& baseline,
                         const v1::Evaluation& candidate) {
  std::vector<std::string> fewest;
  bool found = false;
  const auto consider = [&](std::vector<std::string> lines) {
    if (!found || lines.size() < fewest.size()) fewest = std::move(lines);
    found = true;
  };
  for (const Report& b : baseline.perplexities()) {
    for (const Report& c : candidate.perplexities()) {
      if (MessageDifferencer::Equals(b.tag(), c.tag())) {
        return absl::StrCat("the clusters of ", b.tag().convention(),
                            " are not the same");
      }
      consider(DifferencesOf(b.tag(), c.tag()));
    }
  }
  for (const v1::TaskReport& b : baseline.tasks()) {
    for (const v1::TaskReport& c : candidate.tasks()) {
      consider(DifferencesOf(b.tag(), c.tag()));
    }
  }
  if (!found) {
    return "one of them has no perplexity, and they have no task in common";
  }
  return absl::StrJoin(fewest, ", ");
}

}  // namespace

absl::StatusOr<v1::Comparison> CompareEvaluations(
    const v1::Evaluation& baseline, const v1::Evaluation& candidate,
    const ComparisonOptions& options) {
  v1::Comparison comparison;
  for (const Report& b : baseline.perplexities()) {
    for (const Report& c : candidate.perplexities()) {
      if (!MessageDifferencer::Equals(b.tag(), c.tag()) ||
          !SameClusters(b, c)) {
        continue;
      }
      if (comparison.metrics().empty()) comparison = Compare(b, c);
      ASSIGN_OR_RETURN(*comparison.add_metrics(),
                       ComparePerplexity(b, c, WeightsOf(b), options));
      if (CountsWordsAndBytes(b)) {
        *comparison.add_words_and_bytes() = CompareWordsAndBytes(b, c);
      }
      break;
    }
  }
  for (const v1::TaskReport& b : baseline.tasks()) {
    for (const v1::TaskReport& c : candidate.tasks()) {
      if (!MessageDifferencer::Equals(b.tag(), c.tag())) continue;
      ASSIGN_OR_RETURN(std::vector<v1::MetricComparison> rows,
                       CompareTask(b, c, options));
      for (v1::MetricComparison& row : rows) {
        *comparison.add_metrics() = std::move(row);
      }
      break;
    }
  }
  if (comparison.metrics().empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(baseline.name(), " and ", candidate.name(),
                     " share no metric under the same tag: ",
                     DifferenceOf(baseline, candidate)));
  }
  RETURN_IF_ERROR(AdjustFamily(options, comparison.mutable_metrics()));
  comparison.set_baseline(baseline.name());
  comparison.set_candidate(candidate.name());
  comparison.set_margin(options.margin);
  comparison.set_perplexity_margin(options.perplexity_margin);
  comparison.set_alpha(options.alpha);
  return comparison;
}

}  // namespace quantd
