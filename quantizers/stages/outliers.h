// Chooses weights that the solver after it keeps in 16 bits (outliers.h): the
// largest, those far from the mean (EasyQuant, Tang et al., arXiv:2403.02775),
// or any. Needs no data.
#ifndef QUANTD_QUANTIZERS_STAGES_OUTLIERS_H_
#define QUANTD_QUANTIZERS_STAGES_OUTLIERS_H_

#include <memory>

#include "quantd/v1/stages.pb.h"
#include "quantizers/stage.h"

namespace quantd {

std::unique_ptr<Stage> NewOutliersStage(const v1::OutliersStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_OUTLIERS_H_
