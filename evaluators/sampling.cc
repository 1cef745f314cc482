#include "evaluators/sampling.h"

#include <algorithm>
#include <cmath>

namespace quantd {

std::vector<double> LogSoftmax(absl::Span<const float> logits) {
  const double max = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float value : logits) sum += std::exp(value - max);
  const double log_sum = max + std::log(sum);
  std::vector<double> result(logits.begin(), logits.end());
  for (double& value : result) value -= log_sum;
  return result;
}

int32_t ArgMax(absl::Span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) -
                              logits.begin());
}

std::vector<std::pair<int32_t, double>> SamplingDistribution(
    absl::Span<const float> logits, const SamplingOptions& options) {
  std::vector<std::pair<int32_t, double>> tokens;
  tokens.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    tokens.emplace_back(static_cast<int32_t>(i),
                        logits[i] / options.temperature);
  }
  const auto likelier = [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  };
  if (options.top_k > 0 && static_cast<size_t>(options.top_k) < tokens.size()) {
    const auto cut = tokens.begin() + options.top_k;
    std::nth_element(tokens.begin(), cut - 1, tokens.end(), likelier);
    tokens.erase(cut, tokens.end());
  }
  std::sort(tokens.begin(), tokens.end(), likelier);
  const double max = tokens.front().second;
  double sum = 0;
  for (auto& [token, weight] : tokens) {
    weight = std::exp(weight - max);
    sum += weight;
  }
  double kept = 0;
  size_t count = 0;
  while (count < tokens.size() && kept < options.top_p * sum) {
    kept += tokens[count++].second;
  }
  tokens.resize(std::max<size_t>(1, count));
  if (count == 0) kept = tokens.front().second;
  for (auto& [token, weight] : tokens) weight /= kept;
  return tokens;
}

int32_t SampleToken(absl::Span<const float> logits,
                    const SamplingOptions& options, std::mt19937_64& engine) {
  if (options.temperature <= 0) return ArgMax(logits);
  const auto distribution = SamplingDistribution(logits, options);
  // The standard's distributions differ between libraries; the engine's bits
  // do not.
  double left = static_cast<double>(engine() >> 11) * 0x1p-53;
  for (const auto& [token, probability] : distribution) {
    left -= probability;
    if (left < 0) return token;
  }
  return distribution.back().first;
}

}  // namespace quantd
