// Numbers over the scored tokens of a text: means with two standard errors, and
// percentiles. With x_t the value at token t, n tokens, W windows and m the
// mean:
//   iid        sqrt((E[x^2] - m^2) / (n - 1))
//   clustered  sqrt(sum_w (sum_{t in w} (x_t - m))^2) / n * sqrt(W / (W - 1))
// The first takes tokens as independent; the second only windows.
//
// Sums are kept by window and added in the order of windows, so that the order
// of scoring changes nothing.
//
// Thread-safe: plain data and free functions over their arguments.
#ifndef QUANTD_EVALUATORS_TOKEN_STATISTICS_H_
#define QUANTD_EVALUATORS_TOKEN_STATISTICS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

// Sums of one window's values.
struct WindowSums {
  uint64_t count = 0;
  double sum = 0;
  double sum_of_squares = 0;

  void Add(double value) {
    ++count;
    sum += value;
    sum_of_squares += value * value;
  }
};

// REQUIRES: at least one value. The mean is NaN or infinite when a value is.
v1::Estimate EstimateMean(absl::Span<const WindowSums> windows);

// `sorted` rises; `fraction` in 0..1. Linear between the values next to
// fraction * (n - 1), as llama.cpp's perplexity program does it. REQUIRES: at
// least one value.
double PercentileOf(absl::Span<const double> sorted, double fraction);

// `mean` with minimum, median, maximum and percentiles of `values`, which may
// be in any order. REQUIRES: at least one value, all finite.
v1::Distribution DistributionOf(const v1::Estimate& mean,
                                std::vector<double> values);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TOKEN_STATISTICS_H_
