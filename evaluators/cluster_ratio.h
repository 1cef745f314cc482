// A ratio of two sums over clusters, with its standard error: NLL over tokens,
// words or bytes of a text, clusters being windows or documents. With a_w and
// b_w the sums of cluster w, W clusters and B the sum of b:
//   value  R = sum_w a_w / B
//   error  sqrt(sum_w (a_w - R b_w)^2) / B * sqrt(W / (W - 1))
// Where b_w counts tokens this is the clustered error of a mean
// (token_statistics.h); else it is the delta method for a ratio of means, with
// both sums varying between clusters.
//
// Source: Cochran, Sampling Techniques, 3rd edition, section 6.3.
//
// Thread-safe: plain data and a free function over its arguments.
#ifndef QUANTD_EVALUATORS_CLUSTER_RATIO_H_
#define QUANTD_EVALUATORS_CLUSTER_RATIO_H_

#include "absl/types/span.h"

namespace quantd {

struct ClusterRatio {
  double value = 0;
  double error = 0;  // 0 where there is one cluster
};

// REQUIRES: as many of both, a positive sum of denominators.
ClusterRatio RatioOfSums(absl::Span<const double> numerators,
                         absl::Span<const double> denominators);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_CLUSTER_RATIO_H_
