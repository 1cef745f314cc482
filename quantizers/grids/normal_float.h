// NormalFloat (models/layouts/value_tables.h) as a grid: the quantiles of a
// normal distribution, scaled to the greatest weight of each group. Source:
// Dettmers et al., QLoRA, arXiv:2305.14314.
#ifndef QUANTD_QUANTIZERS_GRIDS_NORMAL_FLOAT_H_
#define QUANTD_QUANTIZERS_GRIDS_NORMAL_FLOAT_H_

#include <memory>

#include "quantd/v1/grids.pb.h"
#include "quantizers/grid.h"

namespace quantd {

std::unique_ptr<Grid> NewNormalFloatGrid(const v1::NormalFloatGrid& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_GRIDS_NORMAL_FLOAT_H_
