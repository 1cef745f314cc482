// Small floating-point formats (ExMy, models/layouts/value_tables.h) as a grid.
// E3M2 with a scale per output channel is kept as fp6-split.v1. Sources: Wu et
// al., ZeroQuant(4+2), arXiv:2312.08583; Wu et al., ZeroQuant-FP,
// arXiv:2307.09782.
#ifndef QUANTD_QUANTIZERS_GRIDS_FLOAT_POINT_H_
#define QUANTD_QUANTIZERS_GRIDS_FLOAT_POINT_H_

#include <memory>

#include "quantd/v1/grids.pb.h"
#include "quantizers/grid.h"

namespace quantd {

std::unique_ptr<Grid> NewFloatPointGrid(const v1::FloatPointGrid& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_GRIDS_FLOAT_POINT_H_
