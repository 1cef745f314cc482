// Round to nearest: the baseline of every comparison, and the smallest stage.
#ifndef QUANTD_QUANTIZERS_STAGES_RTN_H_
#define QUANTD_QUANTIZERS_STAGES_RTN_H_

#include <memory>

#include "quantd/v1/stages.pb.h"
#include "quantizers/stage.h"

namespace quantd {

std::unique_ptr<Stage> NewRtnStage(const v1::RtnStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_RTN_H_
