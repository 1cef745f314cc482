#include "quantizers/tuning_options.h"

namespace quantd {

OptimizerOptions OptimizerFrom(v1::TuneStage::Optimizer kind,
                               double weight_decay) {
  using Kind = OptimizerOptions::Kind;
  OptimizerOptions result;
  result.weight_decay = weight_decay;
  switch (kind) {
    case v1::TuneStage::ADAMW:
      result.kind = Kind::kAdamW;
      break;
    case v1::TuneStage::SGD:
      result.kind = Kind::kSgd;
      break;
    case v1::TuneStage::SIGN_SGD:
      result.kind = Kind::kSignSgd;
      break;
    case v1::TuneStage::ADAMAX:
      result.kind = Kind::kAdaMax;
      break;
    default:
      result.kind = Kind::kAdam;
  }
  return result;
}

LearningRateSchedule ScheduleFrom(v1::TuneStage::Schedule shape,
                                  double learning_rate, int64_t steps,
                                  int64_t warmup_steps) {
  using Shape = LearningRateSchedule::Shape;
  LearningRateSchedule result;
  result.peak = learning_rate;
  result.steps = steps;
  result.warmup = warmup_steps;
  switch (shape) {
    case v1::TuneStage::CONSTANT:
      result.shape = Shape::kConstant;
      break;
    case v1::TuneStage::LINEAR:
      result.shape = Shape::kLinear;
      break;
    default:
      result.shape = Shape::kCosine;
  }
  return result;
}

}  // namespace quantd
