#include "tensor/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace quantd {

void Optimizer::Step(double rate, absl::Span<const Tensor> gradients,
                     absl::Span<Tensor> parameters,
                     absl::Span<const double> factors) {
  states_.resize(parameters.size());
  ++steps_;
  for (size_t i = 0; i < parameters.size(); ++i) {
    StepOne(factors.empty() ? rate : rate * factors[i], gradients[i],
            states_[i], parameters[i]);
  }
}

void Optimizer::StepOne(double rate, const Tensor& gradient, State& state,
                        Tensor& parameter) const {
  using Kind = OptimizerOptions::Kind;
  const OptimizerOptions& o = options_;
  const size_t size = static_cast<size_t>(parameter.size());
  const float* const g = gradient.data();
  float* const x = parameter.data();
  const bool decays_gradient = o.kind != Kind::kAdamW;
  const auto decayed = [&](size_t i) {
    return decays_gradient ? g[i] + o.weight_decay * x[i] : double{g[i]};
  };
  if (o.kind == Kind::kSgd || o.kind == Kind::kSignSgd) {
    const bool moves = o.momentum != 0;
    if (moves) state.first.resize(size, 0.0f);
    for (size_t i = 0; i < size; ++i) {
      double v = decayed(i);
      if (moves) {
        v += o.momentum * state.first[i];
        state.first[i] = static_cast<float>(v);
      }
      if (o.kind == Kind::kSignSgd) v = v > 0 ? 1 : v < 0 ? -1 : 0;
      x[i] = static_cast<float>(x[i] - rate * v);
    }
    return;
  }
  state.first.resize(size, 0.0f);
  state.second.resize(size, 0.0f);
  const double t = static_cast<double>(steps_);
  const double correct1 = 1 - std::pow(o.beta1, t);
  const double correct2 = 1 - std::pow(o.beta2, t);
  const double decay = decays_gradient ? 0 : rate * o.weight_decay;
  if (o.kind == Kind::kAdaMax) {
    for (size_t i = 0; i < size; ++i) {
      const double v = decayed(i);
      const double m = o.beta1 * state.first[i] + (1 - o.beta1) * v;
      const double u = std::max(o.beta2 * state.second[i], std::abs(v));
      state.first[i] = static_cast<float>(m);
      state.second[i] = static_cast<float>(u);
      x[i] = static_cast<float>(x[i] - rate * m / correct1 / (u + o.epsilon));
    }
    return;
  }
  for (size_t i = 0; i < size; ++i) {
    const double v = decayed(i);
    const double m = o.beta1 * state.first[i] + (1 - o.beta1) * v;
    const double s = o.beta2 * state.second[i] + (1 - o.beta2) * v * v;
    state.first[i] = static_cast<float>(m);
    state.second[i] = static_cast<float>(s);
    const double step = m / correct1 / (std::sqrt(s / correct2) + o.epsilon);
    x[i] = static_cast<float>(x[i] - decay * x[i] - rate * step);
  }
}

double LearningRateAt(const LearningRateSchedule& schedule, int64_t step) {
  using Shape = LearningRateSchedule::Shape;
  const int64_t warmup = std::min(schedule.warmup, schedule.steps);
  if (step < warmup) {
    return schedule.peak * static_cast<double>(step + 1) /
           static_cast<double>(warmup + 1);
  }
  const double done = static_cast<double>(step - warmup) /
                      static_cast<double>(schedule.steps - warmup);
  switch (schedule.shape) {
    case Shape::kConstant:
      return schedule.peak;
    case Shape::kLinear:
      return schedule.peak * (1 - done);
    case Shape::kCosine:
      return schedule.peak * 0.5 * (1 + std::cos(std::numbers::pi * done));
  }
  return schedule.peak;
}

double ClipByGlobalNorm(double limit, absl::Span<Tensor> gradients) {
  double sum = 0;
  for (const Tensor& gradient : gradients) {
    for (float g : gradient.values()) sum += double{g} * g;
  }
  const double norm = std::sqrt(sum);
  if (norm <= limit) return norm;
  const float factor = static_cast<float>(limit / norm);
  for (Tensor& gradient : gradients) {
    for (float& g : gradient.values()) g *= factor;
  }
  return norm;
}

}  // namespace quantd
