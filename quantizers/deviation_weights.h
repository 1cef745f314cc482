// How much a token counts in distillation by how unsure the original network is
// of what follows it (after the deviation-aware distillation of Chen et al.,
// DB-LLM, arXiv:2402.11960):
//
//   1 + weight (H / log V)^power
//
// H is the entropy of the original's prediction, V the vocabulary.
#ifndef QUANTD_QUANTIZERS_DEVIATION_WEIGHTS_H_
#define QUANTD_QUANTIZERS_DEVIATION_WEIGHTS_H_

#include <cstdint>

#include "tensor/tensor.h"

namespace quantd {

// The entropy of softmax(logits[row]) as a share of the greatest there is,
// 0..1. REQUIRES: at least two columns.
double RelativeEntropy(const Tensor& logits, int64_t row);

struct DeviationWeights {
  double weight = 0;  // 0: all tokens count alike
  double power = 1;

  // Of the token whose prediction is softmax(logits[row]).
  double Of(const Tensor& logits, int64_t row) const;
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_DEVIATION_WEIGHTS_H_
