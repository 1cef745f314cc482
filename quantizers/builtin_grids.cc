#include "absl/strings/str_cat.h"
#include "google/protobuf/stubs/logging.h"
#include "quantizers/grid.h"
#include "quantizers/grids/affine.h"
#include "quantizers/grids/codebook.h"
#include "quantizers/grids/dual_binary.h"
#include "quantizers/grids/float_point.h"
#include "quantizers/grids/normal_float.h"
#include "quantizers/grids/partially_binary.h"
#include "quantizers/grids/power.h"
#include "quantizers/grids/vector_codebook.h"

namespace quantd {
namespace {

constexpr GridRow kGrids[] = {
    {v1::Grid::kAffine, "affine",
     [](const v1::Grid& grid) { return NewAffineGrid(grid.affine()); }},
    {v1::Grid::kFloatPoint, "float_point",
     [](const v1::Grid& grid) {
       return NewFloatPointGrid(grid.float_point());
     }},
    {v1::Grid::kNormalFloat, "normal_float",
     [](const v1::Grid& grid) {
       return NewNormalFloatGrid(grid.normal_float());
     }},
    {v1::Grid::kPower, "power",
     [](const v1::Grid& grid) { return NewPowerGrid(grid.power()); }},
    {v1::Grid::kCodebook, "codebook",
     [](const v1::Grid& grid) { return NewCodebookGrid(grid.codebook()); }},
    {v1::Grid::kVectorCodebook, "vector_codebook",
     [](const v1::Grid& grid) {
       return NewVectorCodebookGrid(grid.vector_codebook());
     }},
    {v1::Grid::kPartiallyBinary, "partially_binary",
     [](const v1::Grid& grid) {
       return NewPartiallyBinaryGrid(grid.partially_binary());
     }},
    {v1::Grid::kDualBinary, "dual_binary",
     [](const v1::Grid& grid) {
       return NewDualBinaryGrid(grid.dual_binary());
     }},
};

}  // namespace

absl::Span<const GridRow> BuiltinGrids() { return kGrids; }

std::unique_ptr<Grid> NewGrid(const v1::Grid& options) {
  for (const GridRow& row : kGrids) {
    if (row.kind == options.kind_case()) return row.make(options);
  }
  // Completed recipes name a kind, and a test holds the table against the
  // kinds there are.
  GOOGLE_LOG(FATAL) << "grid of kind " << options.kind_case();
  return nullptr;
}

}  // namespace quantd
