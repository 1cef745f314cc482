// One exponent for the power grids (grids/power.h) of a network: the a with the
// least sum over all layers of ||W - q_a(W)||_2 (Frobenius), by golden section.
// Sources: Yvinec et al., PowerQuant, arXiv:2301.09858; NUPES,
// arXiv:2308.05600, data-free mode.
#ifndef QUANTD_QUANTIZERS_STAGES_POWER_EXPONENT_H_
#define QUANTD_QUANTIZERS_STAGES_POWER_EXPONENT_H_

#include <memory>

#include "quantd/v1/stages.pb.h"
#include "quantizers/stage.h"

namespace quantd {

std::unique_ptr<Stage> NewPowerExponentStage(
    const v1::PowerExponentStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_POWER_EXPONENT_H_
