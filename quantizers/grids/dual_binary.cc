#include "quantizers/grids/dual_binary.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "quantizers/affine_grid.h"
#include "quantizers/grid_validation.h"

namespace quantd {
namespace {

// The greatest s whose double is a binary16 number.
constexpr float kGreatestStep = 32752.0f;

}  // namespace

// --- One layer -------------------------------------------------------------

template <typename Real>
DualBinaryLayerGrid<Real>::DualBinaryLayerGrid(
    int64_t rows, int64_t cols, const DualBinaryOptions& options) {
  weights_.rows = rows;
  weights_.cols = cols;
  weights_.group_size = options.GroupSizeFor(cols);
  weights_.codes.resize(static_cast<size_t>(rows * cols));
  const size_t groups = static_cast<size_t>(rows * weights_.groups());
  weights_.highs.resize(groups);
  weights_.lows.resize(groups);
  if (options.mirror) weights_.mirrored.resize(groups);
}

template <typename Real>
void DualBinaryLayerGrid<Real>::FitGroup(const GroupValues<Real>& group) {
  Real least = 0;
  Real greatest = 0;
  for (size_t i = 0; i < group.values.size(); ++i) {
    if (!group.importance.empty() && group.importance[i] == 0) continue;
    least = std::min(least, group.values[i]);
    greatest = std::max(greatest, group.values[i]);
  }
  const size_t index =
      static_cast<size_t>(group.row * weights_.groups() + group.group);
  const Real size = std::max(greatest, -least);
  // Doubling and negating keep a binary16 number what it is.
  const float s = size > 0
                      ? std::min(StorableScale(static_cast<double>(size) / 2),
                                 kGreatestStep)
                      : 1.0f;
  weights_.highs[index] = 2 * s;
  weights_.lows[index] = -s;
  if (!weights_.mirrored.empty()) {
    weights_.mirrored[index] = -least > greatest ? 1 : 0;
  }
}

template <typename Real>
void DualBinaryLayerGrid<Real>::Quantize(const Patch<Real>& patch) {
  for (int64_t r = patch.row_begin; r < patch.row_end; ++r) {
    const int64_t local = r - patch.row_begin;
    const Real* values = patch.values + local * patch.value_stride;
    uint8_t* codes = weights_.codes.data() + r * weights_.cols + patch.column;
    const size_t index =
        static_cast<size_t>(r * weights_.groups() + patch.group);
    DualBinaryPair pair = {weights_.highs[index], weights_.lows[index]};
    if (!weights_.mirrored.empty() && weights_.mirrored[index] != 0) {
      pair = {-pair.high, -pair.low};
    }
    for (int64_t c = 0; c < patch.columns; ++c) {
      codes[c] = static_cast<uint8_t>(EncodeDualBinary(values[c], pair));
    }
    if (patch.quantized == nullptr) continue;
    Real* quantized = patch.quantized + local * patch.quantized_stride;
    for (int64_t c = 0; c < patch.columns; ++c) {
      quantized[c] = DecodeDualBinary<Real>(codes[c], pair);
    }
  }
}

template <typename Real>
absl::StatusOr<std::shared_ptr<const CompressedLinear>>
DualBinaryLayerGrid<Real>::Finish(std::vector<int32_t> group_index) {
  weights_.group_index = std::move(group_index);
  return NewDualBinary(std::move(weights_));
}

template class DualBinaryLayerGrid<float>;
template class DualBinaryLayerGrid<double>;

// --- Grid ------------------------------------------------------------------

namespace {

class DualBinaryGrid final : public Grid {
 public:
  explicit DualBinaryGrid(const v1::DualBinaryGrid& options) {
    options_.group_size = options.group_size();
    options_.mirror = options.mirror();
  }

  absl::string_view name() const override { return "dual_binary"; }

  absl::Status Validate(absl::string_view prefix,
                        const LinearShape& layer) const override {
    return ValidateGroupSize(options_.group_size,
                             absl::StrCat(prefix, ".", name()), layer);
  }

  GridCost Cost(const LinearShape& layer) const override {
    const uint64_t weights = static_cast<uint64_t>(layer.rows * layer.cols);
    GridCost cost;
    cost.stored_bytes =
        DualBinaryBytes(layer.rows, layer.cols,
                        options_.GroupSizeFor(layer.cols), options_.mirror);
    // A byte a code, another while the planes are parted, and the packed layer
    // that is made of them.
    cost.working_bytes = 2 * weights + cost.stored_bytes;
    cost.rounded_weights = static_cast<double>(weights);
    return cost;
  }

  int64_t GroupSizeFor(int64_t cols) const override {
    return options_.GroupSizeFor(cols);
  }

  absl::StatusOr<std::unique_ptr<LayerGrid<float>>> NewLayerGrid(
      int64_t rows, int64_t cols, const GridPlan& plan) const override {
    RETURN_IF_ERROR(RefuseExponent(name(), plan));
    if (!plan.group_bits.empty()) {
      return absl::InvalidArgumentError(
          "the dual_binary grid takes no bits per group");
    }
    DualBinaryOptions options = options_;
    if (plan.group_size > 0) options.group_size = plan.group_size;
    return std::make_unique<DualBinaryLayerGrid<float>>(rows, cols, options);
  }

 private:
  DualBinaryOptions options_;
};

}  // namespace

std::unique_ptr<Grid> NewDualBinaryGrid(const v1::DualBinaryGrid& options) {
  return std::make_unique<DualBinaryGrid>(options);
}

}  // namespace quantd
