// Asks for the sensitivity of the loss to single weights
// (weight_sensitivity.h), and lets it weigh the errors that grids are fitted
// by.
#ifndef QUANTD_QUANTIZERS_STAGES_SENSITIVITY_H_
#define QUANTD_QUANTIZERS_STAGES_SENSITIVITY_H_

#include <memory>

#include "quantd/v1/stages.pb.h"
#include "quantizers/stage.h"

namespace quantd {

std::unique_ptr<Stage> NewSensitivityStage(const v1::SensitivityStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_SENSITIVITY_H_
