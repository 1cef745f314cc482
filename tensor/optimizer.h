// Gradient descent: optimizers, learning rate schedules, gradient clipping.
//
//   Optimizer optimizer(options);
//   for (int64_t step = 0; step < steps; ++step) {
//     ... gradients of parameters ...
//     ClipByGlobalNorm(1.0, absl::MakeSpan(gradients));
//     optimizer.Step(LearningRateAt(schedule, step), gradients,
//                    absl::MakeSpan(parameters));
//   }
//
// Thread-compatible. Results depend on the arguments alone.
#ifndef QUANTD_TENSOR_OPTIMIZER_H_
#define QUANTD_TENSOR_OPTIMIZER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "tensor/tensor.h"

namespace quantd {

struct OptimizerOptions {
  enum class Kind {
    // v <- momentum v + g,  x <- x - rate v
    kSgd,
    // The same with sign(v) in place of v (Cheng et al., AutoRound,
    // arXiv:2309.05516, section 3).
    kSignSgd,
    // Kingma and Ba, arXiv:1412.6980, algorithm 1; weight decay is added to g.
    kAdam,
    // Loshchilov and Hutter, arXiv:1711.05101, algorithm 2: weight decay is
    // rate decay x, beside the step.
    kAdamW,
    // Kingma and Ba, arXiv:1412.6980, algorithm 2 (AdaMax): u <- max(beta2 u,
    // |g|) in place of the root of the mean square; weight decay is added to g.
    kAdaMax,
  };
  Kind kind = Kind::kAdam;
  double momentum = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
};

class Optimizer {
 public:
  explicit Optimizer(const OptimizerOptions& options) : options_(options) {}

  // Changes `parameters` in place, which are the same ones in every call; the
  // rate of parameter i is rate * factors[i], or rate where `factors` is empty.
  // REQUIRES: a gradient for every parameter, of its size.
  void Step(double rate, absl::Span<const Tensor> gradients,
            absl::Span<Tensor> parameters,
            absl::Span<const double> factors = {});

 private:
  struct State {
    std::vector<float> first;   // momentum, or the mean of gradients
    std::vector<float> second;  // the mean of squares, or the greatest
  };

  void StepOne(double rate, const Tensor& gradient, State& state,
               Tensor& parameter) const;

  const OptimizerOptions options_;
  int64_t steps_ = 0;
  std::vector<State> states_;
};

struct LearningRateSchedule {
  // After the warm-up: constant; falling to zero along a line, or along half a
  // cosine.
  enum class Shape { kConstant, kLinear, kCosine };
  Shape shape = Shape::kConstant;
  double peak = 0;
  int64_t steps = 1;
  // Steps in which the rate rises from peak / (warmup + 1) along a line.
  int64_t warmup = 0;
};

// The rate of step `step`, 0 .. steps - 1: the first after the warm-up has the
// peak, the rate would be zero at step `steps`.
double LearningRateAt(const LearningRateSchedule& schedule, int64_t step);

// Scales all gradients so that their Euclidean norm, taken together, is at most
// `limit`. Returns the norm before. REQUIRES: limit > 0.
double ClipByGlobalNorm(double limit, absl::Span<Tensor> gradients);

}  // namespace quantd

#endif  // QUANTD_TENSOR_OPTIMIZER_H_
