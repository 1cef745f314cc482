// Asks for the network to be tuned as a whole when its last block is done
// (network_tuning.h).
#ifndef QUANTD_QUANTIZERS_STAGES_DISTILL_H_
#define QUANTD_QUANTIZERS_STAGES_DISTILL_H_

#include <memory>

#include "quantd/v1/stages.pb.h"
#include "quantizers/stage.h"

namespace quantd {

std::unique_ptr<Stage> NewDistillStage(const v1::DistillStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_DISTILL_H_
