// A Grid is the set of values that weights are mapped to, as a recipe names it:
// its kind and options. Each kind is a row of builtin_grids.cc and one file
// under grids/. Solver stages take any kind.
//
// Immutable and thread-safe.
#ifndef QUANTD_QUANTIZERS_GRID_H_
#define QUANTD_QUANTIZERS_GRID_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/linear.h"
#include "quantd/v1/grids.pb.h"
#include "quantizers/layer_grid.h"

namespace quantd {

// What an allocate stage decided for one layer, over the grid's own options.
struct GridPlan {
  // Input channels per group; 0: as the options say.
  int64_t group_size = 0;
  // Bits of every group of input channels, [groups], or of those of every
  // output channel, [rows, groups]; empty: as the options say.
  std::vector<uint8_t> group_bits;
  // Exponent of a power grid; 0: as the options say.
  double exponent = 0;
};

// What a grid takes for one layer, known from its shape.
struct GridCost {
  // Exactly what CompressedLinear::Save() will write as tensors, unless a
  // GridPlan changes it.
  uint64_t stored_bytes = 0;
  // Memory at most, beside the weights that are quantized.
  uint64_t working_bytes = 0;
  // Weights rounded in one pass over the layer and to fit the grid, counting
  // every candidate of a search.
  double rounded_weights = 0;
  // Passes that a solver makes over the layer, as Refine() asks.
  double passes = 1;
  // Of Refine() itself.
  double product_flops = 0;
};

class Grid {
 public:
  virtual ~Grid() = default;

  // The field of v1.Grid: "affine".
  virtual absl::string_view name() const = 0;

  // Whether `layer` can be mapped to this grid. InvalidArgument names
  // "<prefix>.<name>.<field>", the layer and the reason.
  virtual absl::Status Validate(absl::string_view prefix,
                                const LinearShape& layer) const = 0;

  virtual GridCost Cost(const LinearShape& layer) const = 0;

  // Whether LayerView::factor_diagonal makes a difference, so that a solver
  // that has no use for the factor makes it.
  virtual bool uses_factor_diagonal() const { return false; }

  // Input channels per group in a layer of `cols` channels.
  virtual int64_t GroupSizeFor(int64_t cols) const = 0;

  // For one layer of [rows, cols]. InvalidArgument when the kind cannot follow
  // `plan`.
  virtual absl::StatusOr<std::unique_ptr<LayerGrid<float>>> NewLayerGrid(
      int64_t rows, int64_t cols, const GridPlan& plan) const = 0;
};

// One row of the table of kinds.
struct GridRow {
  v1::Grid::KindCase kind;
  absl::string_view name;  // the field of v1.Grid
  std::unique_ptr<Grid> (*make)(const v1::Grid& options);
};

// All kinds of this build, in the order of v1.Grid's fields.
absl::Span<const GridRow> BuiltinGrids();

// REQUIRES: `options` was completed by CompleteRecipe(), which chooses a kind
// where none is named.
std::unique_ptr<Grid> NewGrid(const v1::Grid& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_GRID_H_
