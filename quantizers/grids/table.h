// Grids whose values are one table for the whole layer, times a scale per
// output channel and group of input channels:
//
//   q(w) = scale * value of the code that w / scale is mapped to
//   scale = max|w| of the group / reach
//
// `reach` is the value that the greatest weight is put on. A group of zeros has
// scale 1. The optional shrink search tries p * max|w|, p = 1 - i / 100, and
// keeps the p with the least sum |q(w) - w|^norm, as for affine grids. Scales
// are rounded to binary16 first, because that is how they are stored.
//
// The kinds of grids that are tables (float_point.h, normal_float.h, power.h)
// only fill in TableGridOptions.
#ifndef QUANTD_QUANTIZERS_GRIDS_TABLE_H_
#define QUANTD_QUANTIZERS_GRIDS_TABLE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "quantizers/grid.h"
#include "quantizers/layer_grid.h"
#include "quantizers/value_set.h"

namespace quantd {

// How a layer is kept.
enum class TableLayout {
  kLookupTable,  // lookup-table.v1
  // fp6-split.v1 where a scale belongs to a whole row, lookup-table.v1
  // elsewhere. For the table "e3m2".
  kFp6Split,
};

struct TableGridOptions {
  // A standard table (models/layouts/value_tables.h); empty: the values are
  // stored with the layer.
  std::string table;
  int bits = 4;
  double reach = 1.0;
  TableLayout layout = TableLayout::kLookupTable;
  int64_t group_size = -1;  // -1: one group per output channel
  bool shrink_search = false;
  double shrink_norm = 2.4;
  int shrink_steps = 80;

  // Input channels per group in a layer of `cols` input channels.
  int64_t GroupSizeFor(int64_t cols) const {
    return group_size < 0 ? cols : group_size;
  }
};

template <typename Real>
class TableLayerGrid final : public LayerGrid<Real> {
 public:
  // REQUIRES: the group size divides `cols`; `values` has 2^bits values.
  TableLayerGrid(int64_t rows, int64_t cols, const TableGridOptions& options,
                 ValueSet values);

  int64_t group_size() const override { return group_size_; }
  void FitGroup(const GroupValues<Real>& group) override;
  void Quantize(const Patch<Real>& patch) override;
  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish(
      std::vector<int32_t> group_index) override;

 private:
  double ErrorOfScale(const GroupValues<Real>& group, float scale) const;

  const TableGridOptions options_;
  const ValueSet values_;
  const int64_t rows_;
  const int64_t cols_;
  const int64_t group_size_;
  const int64_t groups_;
  std::vector<uint8_t> codes_;  // [rows, cols]
  std::vector<float> scales_;   // [rows, groups]
};

// The options that the messages of all such kinds have.
template <typename Message>
void ReadSharedOptions(const Message& message, TableGridOptions* options) {
  options->group_size = message.group_size();
  options->shrink_search = message.shrink_search();
  options->shrink_norm = message.shrink_norm();
  options->shrink_steps = static_cast<int>(message.shrink_steps());
}

// What the kinds share: everything but how the values depend on the plan.
absl::Status ValidateTableGrid(const TableGridOptions& options,
                               absl::string_view prefix,
                               const LinearShape& layer);
GridCost TableGridCost(const TableGridOptions& options,
                       const LinearShape& layer);
// InvalidArgument and Unimplemented where `plan` asks for what `kind` has not.
absl::StatusOr<TableGridOptions> ApplyPlan(TableGridOptions options,
                                           const GridPlan& plan,
                                           absl::string_view kind);

// A grid with a standard table.
std::unique_ptr<Grid> NewStandardTableGrid(absl::string_view kind,
                                           const TableGridOptions& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_GRIDS_TABLE_H_
