// Weights that stay in high precision: which ones, and a grid that keeps them
// while the others are mapped to the grid it wraps.
#ifndef QUANTD_QUANTIZERS_OUTLIERS_H_
#define QUANTD_QUANTIZERS_OUTLIERS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "quantizers/layer_grid.h"

namespace quantd {

// Positions in a matrix, in compressed rows: row r holds
// columns[row_starts[r] .. row_starts[r + 1]), ascending.
struct OutlierMask {
  std::vector<int32_t> row_starts;  // [rows + 1]
  std::vector<int32_t> columns;

  int64_t count() const { return static_cast<int64_t>(columns.size()); }
  // The index of (row, column) in `columns`, or -1.
  int64_t Find(int64_t row, int64_t column) const;
};

// Positions of `mask` are left out of the fits of `base`; Quantize() keeps
// their value to binary16, and Finish() lays them over the base layer (layout
// "sparse-overlay.v1"). `mask` outlives the grid.
template <typename Real>
std::unique_ptr<LayerGrid<Real>> NewOutlierGrid(
    std::unique_ptr<LayerGrid<Real>> base, const OutlierMask& mask);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_OUTLIERS_H_
