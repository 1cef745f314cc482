#include "quantizers/grids/table.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/layouts/fp6_split.h"
#include "models/layouts/lookup_table.h"
#include "models/layouts/value_tables.h"
#include "proto/field_rules.h"
#include "quantizers/affine_grid.h"
#include "quantizers/grid_validation.h"

namespace quantd {
namespace {

// Whether a layer whose groups have `group_size` of `cols` channels goes into
// the split planes.
bool IsSplit(const TableGridOptions& options, int64_t group_size,
             int64_t cols) {
  return options.layout == TableLayout::kFp6Split && group_size == cols;
}

}  // namespace

// --- One layer -------------------------------------------------------------

template <typename Real>
TableLayerGrid<Real>::TableLayerGrid(int64_t rows, int64_t cols,
                                     const TableGridOptions& options,
                                     ValueSet values)
    : options_(options),
      values_(std::move(values)),
      rows_(rows),
      cols_(cols),
      group_size_(options.GroupSizeFor(cols)),
      groups_(cols / group_size_),
      codes_(static_cast<size_t>(rows * cols)),
      scales_(static_cast<size_t>(rows * groups_)) {}

template <typename Real>
double TableLayerGrid<Real>::ErrorOfScale(const GroupValues<Real>& group,
                                          float scale) const {
  double error = 0;
  for (size_t i = 0; i < group.values.size(); ++i) {
    const double count = group.importance.empty()
                             ? 1.0
                             : static_cast<double>(group.importance[i]);
    if (count == 0) continue;
    const Real w = group.values[i];
    const int code = values_.Encode(w / static_cast<Real>(scale));
    const double difference =
        static_cast<double>(scale) * values_.value(code) - w;
    error += count * std::pow(std::abs(difference), options_.shrink_norm);
  }
  return error;
}

template <typename Real>
void TableLayerGrid<Real>::FitGroup(const GroupValues<Real>& group) {
  double greatest = 0;
  for (size_t i = 0; i < group.values.size(); ++i) {
    if (!group.importance.empty() && group.importance[i] == 0) continue;
    greatest =
        std::max(greatest, static_cast<double>(std::abs(group.values[i])));
  }
  float& scale =
      scales_[static_cast<size_t>(group.row * groups_ + group.group)];
  if (greatest == 0) {
    scale = 1.0f;
    return;
  }
  scale = StorableScale(greatest / options_.reach);
  if (!options_.shrink_search) return;
  double least_error = ErrorOfScale(group, scale);
  for (int i = 1; i < options_.shrink_steps; ++i) {
    const double p = 1.0 - i / 100.0;
    const float candidate = StorableScale(p * greatest / options_.reach);
    const double error = ErrorOfScale(group, candidate);
    if (error < least_error) {
      least_error = error;
      scale = candidate;
    }
  }
}

template <typename Real>
void TableLayerGrid<Real>::Quantize(const Patch<Real>& patch) {
  for (int64_t r = patch.row_begin; r < patch.row_end; ++r) {
    const Real scale = static_cast<Real>(
        scales_[static_cast<size_t>(r * groups_ + patch.group)]);
    const int64_t local = r - patch.row_begin;
    const Real* values = patch.values + local * patch.value_stride;
    uint8_t* codes = codes_.data() + r * cols_ + patch.column;
    for (int64_t c = 0; c < patch.columns; ++c) {
      codes[c] = static_cast<uint8_t>(values_.Encode(values[c] / scale));
    }
    if (patch.quantized == nullptr) continue;
    Real* quantized = patch.quantized + local * patch.quantized_stride;
    for (int64_t c = 0; c < patch.columns; ++c) {
      quantized[c] = scale * static_cast<Real>(values_.value(codes[c]));
    }
  }
}

template <typename Real>
absl::StatusOr<std::shared_ptr<const CompressedLinear>>
TableLayerGrid<Real>::Finish(std::vector<int32_t> group_index) {
  if (IsSplit(options_, group_size_, cols_)) {
    Fp6SplitWeights weights;
    weights.rows = rows_;
    weights.cols = cols_;
    weights.codes = std::move(codes_);
    weights.scales = std::move(scales_);
    return NewFp6Split(std::move(weights));
  }
  LookupTableWeights weights;
  weights.rows = rows_;
  weights.cols = cols_;
  weights.bits = options_.bits;
  weights.group_size = group_size_;
  weights.table = options_.table;
  weights.values = values_.values();
  weights.codes = std::move(codes_);
  weights.scales = std::move(scales_);
  weights.group_index = std::move(group_index);
  return NewLookupTable(std::move(weights));
}

template class TableLayerGrid<float>;
template class TableLayerGrid<double>;

// --- Grid ------------------------------------------------------------------

absl::Status ValidateTableGrid(const TableGridOptions& options,
                               absl::string_view prefix,
                               const LinearShape& layer) {
  if (!options.table.empty() && StandardValues(options.table).empty()) {
    return InvalidField(std::string(prefix),
                        absl::StrCat("there is no format ", options.table,
                                     " of at most 8 bits"));
  }
  return ValidateGroupSize(options.group_size, prefix, layer);
}

GridCost TableGridCost(const TableGridOptions& options,
                       const LinearShape& layer) {
  const uint64_t weights = static_cast<uint64_t>(layer.rows * layer.cols);
  const int64_t group_size = options.GroupSizeFor(layer.cols);
  GridCost cost;
  cost.stored_bytes =
      IsSplit(options, group_size, layer.cols)
          ? Fp6SplitBytes(layer.rows, layer.cols)
          : LookupTableBytes(layer.rows, layer.cols, options.bits, group_size,
                             options.table.empty() ? TableStorage::kStored
                                                   : TableStorage::kNamed);
  // A byte a code, and the packed layer that is made of them; a plane of codes
  // while they are split.
  cost.working_bytes = cost.stored_bytes + 2 * weights;
  // Every candidate of the shrink search looks at each weight once more.
  cost.rounded_weights =
      static_cast<double>(weights) *
      (options.shrink_search ? 1.0 + options.shrink_steps : 1.0);
  return cost;
}

absl::StatusOr<TableGridOptions> ApplyPlan(TableGridOptions options,
                                           const GridPlan& plan,
                                           absl::string_view kind) {
  if (plan.group_size > 0) options.group_size = plan.group_size;
  if (!plan.group_bits.empty()) {
    return absl::UnimplementedError(
        absl::StrCat(kind, " grids of several widths in one layer"));
  }
  return options;
}

namespace {

class StandardTableGrid final : public Grid {
 public:
  StandardTableGrid(absl::string_view kind, const TableGridOptions& options)
      : kind_(kind), options_(options), values_(ValuesOrZero(options.table)) {}

  absl::string_view name() const override { return kind_; }

  absl::Status Validate(absl::string_view prefix,
                        const LinearShape& layer) const override {
    return ValidateTableGrid(options_, absl::StrCat(prefix, ".", kind_), layer);
  }

  GridCost Cost(const LinearShape& layer) const override {
    return TableGridCost(options_, layer);
  }

  int64_t GroupSizeFor(int64_t cols) const override {
    return options_.GroupSizeFor(cols);
  }

  absl::StatusOr<std::unique_ptr<LayerGrid<float>>> NewLayerGrid(
      int64_t rows, int64_t cols, const GridPlan& plan) const override {
    RETURN_IF_ERROR(RefuseExponent(kind_, plan));
    ASSIGN_OR_RETURN(TableGridOptions options,
                     ApplyPlan(options_, plan, kind_));
    return std::make_unique<TableLayerGrid<float>>(rows, cols, options,
                                                   values_);
  }

 private:
  // Zero for a table that does not exist, which Validate() refuses.
  static std::vector<float> ValuesOrZero(const std::string& table) {
    std::vector<float> values = StandardValues(table);
    if (values.empty()) values.push_back(0.0f);
    return values;
  }

  const std::string kind_;
  const TableGridOptions options_;
  const ValueSet values_;
};

}  // namespace

std::unique_ptr<Grid> NewStandardTableGrid(absl::string_view kind,
                                           const TableGridOptions& options) {
  return std::make_unique<StandardTableGrid>(kind, options);
}

}  // namespace quantd
