// Choosing the next token from logits.
#ifndef QUANTD_EVALUATORS_SAMPLING_H_
#define QUANTD_EVALUATORS_SAMPLING_H_

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace quantd {

struct SamplingOptions {
  // Logits are divided by it; 0: the likeliest token, always.
  double temperature = 0.0;
  // Only the k likeliest tokens; 0: all.
  int top_k = 0;
  // Only the fewest likeliest tokens whose probabilities sum to at least this
  // (Holtzman et al. 2019, arXiv:1904.09751); 1: all.
  double top_p = 1.0;
};

// Natural-log probabilities, summed in float64.
std::vector<double> LogSoftmax(absl::Span<const float> logits);

// The largest value; of equal ones the first. REQUIRES: not empty.
int32_t ArgMax(absl::Span<const float> logits);

// What may be drawn, likeliest first (of equal ones the lower id first), with
// probabilities that sum to one: temperature, then top k, then top p.
std::vector<std::pair<int32_t, double>> SamplingDistribution(
    absl::Span<const float> logits, const SamplingOptions& options);

// Draws a token. The same engine state gives the same token on every machine
// whose logits agree.
int32_t SampleToken(absl::Span<const float> logits,
                    const SamplingOptions& options, std::mt19937_64& engine);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_SAMPLING_H_
