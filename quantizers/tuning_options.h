// What the stages that descend along gradients have in common in their options.
#ifndef QUANTD_QUANTIZERS_TUNING_OPTIONS_H_
#define QUANTD_QUANTIZERS_TUNING_OPTIONS_H_

#include <cstdint>

#include "quantd/v1/stages.pb.h"
#include "tensor/optimizer.h"

namespace quantd {

OptimizerOptions OptimizerFrom(v1::TuneStage::Optimizer kind,
                               double weight_decay);

LearningRateSchedule ScheduleFrom(v1::TuneStage::Schedule shape,
                                  double learning_rate, int64_t steps,
                                  int64_t warmup_steps);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_TUNING_OPTIONS_H_
