// The discrete step of PV-Tuning: a few codes of a layer are chosen anew, so
// that its weight follows the gradient where its parameters cannot (Malinovskii
// et al., arXiv:2405.14852, algorithm 2 and section 3.3).
//
//   u = G / sqrt(v),  v <- beta v + (1 - beta) G^2
//   B <- B - rate sqrt(1 - beta^t) ||B|| / ||u|| u
//
// B [rows, cols] is what the codes are to stand for, at first the weight W. Of
// the share of units with the greatest ||B - W|| those get their nearest code,
// greatest first, until W has changed by more than the trust ratio times its
// norm; the first always does. With a share of 1 and no trust ratio this is
// straight-through estimation.
//
// Thread-compatible. The result does not depend on the number of threads.
#ifndef QUANTD_QUANTIZERS_CODE_STEP_H_
#define QUANTD_QUANTIZERS_CODE_STEP_H_

#include <cstdint>

#include "kernels/execution_context.h"
#include "models/code_choice.h"
#include "tensor/tensor.h"

namespace quantd {

struct CodeStepOptions {
  // Of the step's length, beside the schedule of the learning rate.
  double rate = 0.01;
  double share = 0.01;        // of the units
  double trust_ratio = 0.01;  // of ||W||
  // Every step begins at B <- (1 - decay) B + decay W.
  double decay = 0;
};

// What a layer remembers from step to step.
class CodeStep {
 public:
  explicit CodeStep(const CodeStepOptions& options) : options_(options) {}

  struct Outcome {
    int64_t changed = 0;         // units with other codes than before
    double relative_change = 0;  // ||new W - W|| / ||W||
  };

  // `weight` is what `choice` stands for, `gradient` that of the loss with
  // respect to the weight before; [rows, cols] both. `rate` is the length of
  // the step of B over its norm.
  Outcome Step(double rate, const Tensor& gradient, const Tensor& weight,
               CodeChoice& choice, ExecutionContext& ctx);

 private:
  void MoveTarget(double rate, const Tensor& gradient, const Tensor& weight);

  const CodeStepOptions options_;
  int64_t steps_ = 0;
  Tensor target_;   // B
  Tensor squares_;  // v
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_CODE_STEP_H_
