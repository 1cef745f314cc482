// Half-quadratic quantization (half_quadratic.h), kept as packed-affine.v1.
#ifndef QUANTD_QUANTIZERS_STAGES_HALF_QUADRATIC_H_
#define QUANTD_QUANTIZERS_STAGES_HALF_QUADRATIC_H_

#include <memory>

#include "quantd/v1/stages.pb.h"
#include "quantizers/stage.h"

namespace quantd {

std::unique_ptr<Stage> NewHalfQuadraticStage(
    const v1::HalfQuadraticStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_HALF_QUADRATIC_H_
