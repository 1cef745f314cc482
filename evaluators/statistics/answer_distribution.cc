#include "evaluators/statistics/answer_distribution.h"

#include <algorithm>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "evaluators/statistics/special_functions.h"

namespace quantd {
namespace {

// No list of answers is longer, and a wrong number must not take the memory.
constexpr int32_t kMostChoices = 1 << 20;

absl::StatusOr<std::vector<uint64_t>> Count(absl::Span<const int32_t> indices,
                                            int32_t choices,
                                            absl::string_view what) {
  std::vector<uint64_t> counts(choices);
  for (size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] < 0 || indices[i] >= choices) {
      return absl::InvalidArgumentError(
          absl::StrCat("item ", i, ": ", what, " answer ", indices[i], " of ",
                       choices, " choices"));
    }
    ++counts[indices[i]];
  }
  return counts;
}

std::vector<double> Shares(const std::vector<uint64_t>& counts, size_t items) {
  std::vector<double> shares;
  shares.reserve(counts.size());
  for (uint64_t count : counts) {
    shares.push_back(static_cast<double>(count) / static_cast<double>(items));
  }
  return shares;
}

std::optional<PositionBiasTest> TestPositionBias(
    const std::vector<uint64_t>& chosen, const std::vector<uint64_t>& gold) {
  PositionBiasTest test;
  int indices = 0;
  for (size_t i = 0; i < gold.size(); ++i) {
    if (gold[i] == 0) {
      if (chosen[i] > 0) return std::nullopt;
      continue;
    }
    ++indices;
    const double expected = static_cast<double>(gold[i]);
    const double apart = static_cast<double>(chosen[i]) - expected;
    test.chi_square += apart * apart / expected;
  }
  if (indices < 2) return std::nullopt;
  test.degrees = indices - 1;
  test.p = ChiSquareUpperTail(test.chi_square, test.degrees);
  return test;
}

}  // namespace

absl::StatusOr<AnswerDistribution> DescribeAnswers(
    absl::Span<const int32_t> chosen, absl::Span<const int32_t> gold,
    int32_t choices) {
  if (chosen.size() != gold.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        chosen.size(), " chosen answers, ", gold.size(), " right ones"));
  }
  if (chosen.size() < 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a distribution needs two items, there is ", chosen.size()));
  }
  if (choices < 1 || choices > kMostChoices) {
    return absl::InvalidArgumentError(absl::StrCat(choices, " choices"));
  }
  ASSIGN_OR_RETURN(const std::vector<uint64_t> chosen_counts,
                   Count(chosen, choices, "chosen"));
  ASSIGN_OR_RETURN(const std::vector<uint64_t> gold_counts,
                   Count(gold, choices, "right"));
  AnswerDistribution distribution;
  distribution.chosen_share = Shares(chosen_counts, chosen.size());
  distribution.gold_share = Shares(gold_counts, gold.size());
  const auto most =
      std::max_element(chosen_counts.begin(), chosen_counts.end());
  distribution.most_chosen = static_cast<int32_t>(most - chosen_counts.begin());
  distribution.constant_answer = *most == chosen.size();
  distribution.constant_gold =
      *std::max_element(gold_counts.begin(), gold_counts.end()) == gold.size();
  distribution.position_bias = TestPositionBias(chosen_counts, gold_counts);
  return distribution;
}

}  // namespace quantd
