// How far two rows of logits over one vocabulary are from each other: baseline
// p = softmax(a), candidate q = softmax(b).
//
//   KL(p || q)  sum_i p_i (ln p_i - ln q_i)            Kullback, Leibler 1951
//   JS(p, q)    KL(p || m) / 2 + KL(q || m) / 2, m = (p + q) / 2    Lin 1991
//   H(p)        -sum_i p_i ln p_i
//
// All in nats. Everything is float64 over the float32 logits: ln p_i is
// a_i - logsumexp(a), and a token of which p_i underflows adds nothing. Sums
// run in the order of ids, so that a row's result depends on the row alone;
// equal rows have a KL and a JS of exactly 0.
//
// Thread-safe: free functions over their arguments.
#ifndef QUANTD_EVALUATORS_LOGIT_DIVERGENCE_H_
#define QUANTD_EVALUATORS_LOGIT_DIVERGENCE_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace quantd {

// Tokens per position whose agreement counts as "top 5".
inline constexpr int kTopTokens = 5;

// One scored position. NaN in either row makes NaN of every number that
// depends on it; so does a probability of exactly 0 where the other model's is
// not (logits of minus infinity), or it makes infinity.
struct TargetDivergence {
  double baseline_nll = 0;  // -ln of the text's token
  double candidate_nll = 0;
  double kl = 0;          // KL(p || q), at least 0
  double reverse_kl = 0;  // KL(q || p), at least 0
  double js = 0;          // at most ln 2
  double baseline_entropy = 0;
  double candidate_entropy = 0;
  // The likeliest token, the first of several, and its probability.
  int32_t baseline_top = 0;
  int32_t candidate_top = 0;
  double baseline_confidence = 0;
  double candidate_confidence = 0;
  // Of the baseline's kTopTokens likeliest tokens (all, in a smaller
  // vocabulary), the share that is among the candidate's. Of equally likely
  // ones the first counts as likelier.
  double top_overlap = 0;

  friend bool operator==(const TargetDivergence&,
                         const TargetDivergence&) = default;
};

// Memory of one thread for rows: 16 bytes per token of the vocabulary.
struct DivergenceScratch {
  std::vector<double> baseline, candidate;
};

// REQUIRES: two rows of one size, at least 1; `target` is an index of them.
TargetDivergence CompareLogits(absl::Span<const float> baseline,
                               absl::Span<const float> candidate,
                               int32_t target, DivergenceScratch* scratch);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_LOGIT_DIVERGENCE_H_
