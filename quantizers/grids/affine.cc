#include "quantizers/grids/affine.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "quantizers/grid_validation.h"

namespace quantd {

// --- One layer -------------------------------------------------------------

template <typename Real>
AffineLayerGrid<Real>::AffineLayerGrid(int64_t rows, int64_t cols,
                                       const AffineGridOptions& options)
    : options_(options) {
  weights_.rows = rows;
  weights_.cols = cols;
  weights_.bits = options.bits;
  weights_.group_size = options.GroupSizeFor(cols);
  weights_.symmetric = options.symmetric;
  weights_.codes.resize(static_cast<size_t>(rows * cols));
  weights_.scales.resize(static_cast<size_t>(rows * weights_.groups()));
  weights_.zeros.resize(weights_.scales.size());
}

template <typename Real>
void AffineLayerGrid<Real>::FitGroup(const GroupValues<Real>& group) {
  const GroupGrid grid =
      FitGroupGrid<Real>(group.values, group.importance, options_);
  const size_t index =
      static_cast<size_t>(group.row * weights_.groups() + group.group);
  weights_.scales[index] = grid.scale;
  weights_.zeros[index] = static_cast<uint8_t>(grid.zero);
}

template <typename Real>
void AffineLayerGrid<Real>::Quantize(const Patch<Real>& patch) {
  const int64_t groups = weights_.groups();
  const int max_code = options_.max_code();
  for (int64_t r = patch.row_begin; r < patch.row_end; ++r) {
    const size_t index = static_cast<size_t>(r * groups + patch.group);
    const GroupGrid grid = {weights_.scales[index], int{weights_.zeros[index]}};
    const int64_t local = r - patch.row_begin;
    const Real* values = patch.values + local * patch.value_stride;
    uint8_t* codes = weights_.codes.data() + r * weights_.cols + patch.column;
    for (int64_t c = 0; c < patch.columns; ++c) {
      codes[c] = static_cast<uint8_t>(EncodeWeight(values[c], grid, max_code));
    }
    if (patch.quantized == nullptr) continue;
    Real* quantized = patch.quantized + local * patch.quantized_stride;
    for (int64_t c = 0; c < patch.columns; ++c) {
      quantized[c] = DecodeWeight<Real>(codes[c], grid);
    }
  }
}

template <typename Real>
absl::StatusOr<std::shared_ptr<const CompressedLinear>>
AffineLayerGrid<Real>::Finish(std::vector<int32_t> group_index) {
  weights_.group_index = std::move(group_index);
  return NewPackedInt(std::move(weights_));
}

template class AffineLayerGrid<float>;
template class AffineLayerGrid<double>;

// --- Grid ------------------------------------------------------------------

namespace {

class AffineGrid final : public Grid {
 public:
  explicit AffineGrid(const v1::AffineGrid& options)
      : options_(GridOptionsFrom(options)) {}

  absl::string_view name() const override { return "affine"; }

  absl::Status Validate(absl::string_view prefix,
                        const LinearShape& layer) const override {
    return ValidateGridFor(options_, absl::StrCat(prefix, ".", name()), layer);
  }

  GridCost Cost(const LinearShape& layer) const override {
    const uint64_t weights = static_cast<uint64_t>(layer.rows * layer.cols);
    GridCost cost;
    cost.stored_bytes =
        PackedIntBytes(layer.rows, layer.cols, options_.bits,
                       options_.GroupSizeFor(layer.cols), options_.symmetric);
    // A byte a code, and the packed layer that is made of them.
    cost.working_bytes = cost.stored_bytes + weights;
    // Every candidate of the shrink search looks at each weight once more.
    cost.rounded_weights =
        static_cast<double>(weights) *
        (options_.shrink_search ? 1.0 + options_.shrink_steps : 1.0);
    return cost;
  }

  int64_t GroupSizeFor(int64_t cols) const override {
    return options_.GroupSizeFor(cols);
  }

  absl::StatusOr<std::unique_ptr<LayerGrid<float>>> NewLayerGrid(
      int64_t rows, int64_t cols, const GridPlan& plan) const override {
    AffineGridOptions options = options_;
    RETURN_IF_ERROR(RefuseExponent(plan, name()));
    if (plan.group_size > 0) options.group_size = plan.group_size;
    if (!plan.group_bits.empty()) {
      return absl::UnimplementedError(
          "affine grids of several widths in one layer");
    }
    return std::make_unique<AffineLayerGrid<float>>(rows, cols, options);
  }

 private:
  const AffineGridOptions options_;
};

}  // namespace

std::unique_ptr<Grid> NewAffineGrid(const v1::AffineGrid& options) {
  return std::make_unique<AffineGrid>(options);
}

}  // namespace quantd
