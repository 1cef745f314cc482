// Gradient descent on the compressed layers of one block (block_tuning.h): on
// their stored parameters, or on how their weights are rounded
// (learned_rounding.h).
#ifndef QUANTD_QUANTIZERS_STAGES_TUNE_H_
#define QUANTD_QUANTIZERS_STAGES_TUNE_H_

#include <memory>

#include "quantd/v1/stages.pb.h"
#include "quantizers/stage.h"

namespace quantd {

std::unique_ptr<Stage> NewTuneStage(const v1::TuneStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_TUNE_H_
