// QuantEase: coordinate descent on a layer's output error over the values of a
// grid, optionally with outliers found on the way (coordinate_descent.h).
// Behdin et al., arXiv:2309.01885.
#ifndef QUANTD_QUANTIZERS_STAGES_COORDINATE_DESCENT_H_
#define QUANTD_QUANTIZERS_STAGES_COORDINATE_DESCENT_H_

#include <memory>

#include "quantd/v1/stages.pb.h"
#include "quantizers/stage.h"

namespace quantd {

std::unique_ptr<Stage> NewCoordinateDescentStage(
    const v1::CoordinateDescentStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_COORDINATE_DESCENT_H_
