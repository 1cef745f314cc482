#include "quantizers/grids/affine.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/layouts/mixed_int.h"
#include "quantizers/binary_grid.h"
#include "quantizers/grid_validation.h"

namespace quantd {
namespace {

// Columns per piece; fixed, so the partition does not depend on the threads.
constexpr int64_t kPieceCols = 64;

}  // namespace

// --- One layer -------------------------------------------------------------

template <typename Real>
AffineLayerGrid<Real>::AffineLayerGrid(int64_t rows, int64_t cols,
                                       const AffineGridOptions& options,
                                       std::vector<uint8_t> group_bits)
    : options_(options), group_bits_(std::move(group_bits)) {
  const auto [least, most] =
      std::minmax_element(group_bits_.begin(), group_bits_.end());
  if (!group_bits_.empty() && *least == *most && *least > 1) {
    options_.bits = *least;
    group_bits_.clear();
  }
  weights_.rows = rows;
  weights_.cols = cols;
  weights_.bits = options_.bits;
  weights_.group_size = options_.GroupSizeFor(cols);
  weights_.symmetric = options_.symmetric;
  weights_.codes.resize(static_cast<size_t>(rows * cols));
  weights_.scales.resize(static_cast<size_t>(rows * weights_.groups()));
  weights_.zeros.resize(weights_.scales.size());
  if (!group_bits_.empty()) means_.resize(weights_.scales.size());
}

template <typename Real>
absl::Status AffineLayerGrid<Real>::Prepare(const LayerView<Real>& layer,
                                            ExecutionContext& ctx) {
  if (options_.range_fit != RangeFit::kSalienceSearch) {
    return absl::OkStatus();
  }
  const size_t cols = static_cast<size_t>(layer.cols);
  inverse_variance_.assign(cols, 1.0);
  for (size_t c = 0; c < layer.factor_diagonal.size(); ++c) {
    const double u = static_cast<double>(layer.factor_diagonal[c]);
    inverse_variance_[c] = 1.0 / (u * u);
  }
  salience_.assign(cols, 0.0);
  salience_square_.assign(cols, 0.0);
  const int64_t pieces = (layer.cols + kPieceCols - 1) / kPieceCols;
  ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
    const int64_t end = std::min((piece + 1) * kPieceCols, layer.cols);
    for (int64_t r = 0; r < layer.rows; ++r) {
      const Real* w = layer.weights + r * layer.cols;
      for (int64_t c = piece * kPieceCols; c < end; ++c) {
        const size_t i = static_cast<size_t>(c);
        const double value = static_cast<double>(w[c]);
        const double s = value * value * inverse_variance_[i];
        salience_[i] += s / static_cast<double>(layer.rows);
        salience_square_[i] += s * s / static_cast<double>(layer.rows);
      }
    }
  });
  return absl::OkStatus();
}

template <typename Real>
std::vector<Real> AffineLayerGrid<Real>::SalientImportance(
    const GroupValues<Real>& group) const {
  std::vector<Real> importance(group.importance.begin(),
                               group.importance.end());
  if (importance.empty()) importance.resize(group.values.size(), Real{1});
  if (salience_.empty()) return importance;
  double mean = 0;
  double square = 0;
  for (int64_t c : group.columns) {
    mean += salience_[static_cast<size_t>(c)];
    square += salience_square_[static_cast<size_t>(c)];
  }
  mean /= static_cast<double>(group.columns.size());
  square /= static_cast<double>(group.columns.size());
  const double deviation = std::sqrt(std::max(0.0, square - mean * mean));
  const double least = mean + options_.salience_sigma * deviation;
  for (size_t i = 0; i < importance.size(); ++i) {
    const double w = static_cast<double>(group.values[i]);
    const double s =
        w * w * inverse_variance_[static_cast<size_t>(group.columns[i])];
    if (s > least) importance[i] *= static_cast<Real>(options_.salience_weight);
  }
  return importance;
}

template <typename Real>
void AffineLayerGrid<Real>::FitGroup(const GroupValues<Real>& group) {
  const size_t index =
      static_cast<size_t>(group.row * weights_.groups() + group.group);
  AffineGridOptions options = options_;
  options.bits = bits_of(group.row, group.group);
  if (options.bits == 1) {
    const BinaryGrid grid = FitBinaryGrid<Real>(
        group.values, group.importance,
        options.symmetric ? BinaryCenter::kZero : BinaryCenter::kMean);
    weights_.scales[index] = grid.alpha;
    means_[index] = grid.mean;
    return;
  }
  GroupGrid grid;
  if (options.range_fit == RangeFit::kSalienceSearch) {
    grid = FitGroupGrid<Real>(group.values, SalientImportance(group), options);
  } else {
    grid = FitGroupGrid<Real>(group.values, group.importance, options);
  }
  weights_.scales[index] = grid.scale;
  weights_.zeros[index] = static_cast<uint8_t>(grid.zero);
}

template <typename Real>
void AffineLayerGrid<Real>::Quantize(const Patch<Real>& patch) {
  const int64_t groups = weights_.groups();
  for (int64_t r = patch.row_begin; r < patch.row_end; ++r) {
    const int bits = bits_of(r, patch.group);
    const int max_code = (1 << bits) - 1;
    const size_t index = static_cast<size_t>(r * groups + patch.group);
    const int64_t local = r - patch.row_begin;
    const Real* values = patch.values + local * patch.value_stride;
    uint8_t* codes = weights_.codes.data() + r * weights_.cols + patch.column;
    Real* quantized = patch.quantized == nullptr
                          ? nullptr
                          : patch.quantized + local * patch.quantized_stride;
    if (bits == 1) {
      const BinaryGrid grid = {means_[index], weights_.scales[index]};
      for (int64_t c = 0; c < patch.columns; ++c) {
        codes[c] = static_cast<uint8_t>(EncodeBinary(values[c], grid));
        if (quantized != nullptr) {
          quantized[c] = DecodeBinary<Real>(codes[c], grid);
        }
      }
      continue;
    }
    const GroupGrid grid = {weights_.scales[index], int{weights_.zeros[index]}};
    for (int64_t c = 0; c < patch.columns; ++c) {
      codes[c] = static_cast<uint8_t>(EncodeWeight(values[c], grid, max_code));
    }
    if (quantized == nullptr) continue;
    for (int64_t c = 0; c < patch.columns; ++c) {
      quantized[c] = DecodeWeight<Real>(codes[c], grid);
    }
  }
}

template <typename Real>
absl::StatusOr<std::shared_ptr<const CompressedLinear>>
AffineLayerGrid<Real>::Finish(std::vector<int32_t> group_index) {
  if (group_bits_.empty()) {
    weights_.group_index = std::move(group_index);
    return NewPackedInt(std::move(weights_));
  }
  if (!group_index.empty()) {
    // The plan is about groups of neighbours; these are others.
    return absl::InvalidArgumentError(
        "bits per group need groups of consecutive input channels: "
        "static_groups, or no act_order");
  }
  MixedIntWeights mixed;
  mixed.rows = weights_.rows;
  mixed.cols = weights_.cols;
  mixed.group_size = weights_.group_size;
  mixed.symmetric = weights_.symmetric;
  mixed.bits = std::move(group_bits_);
  mixed.codes = std::move(weights_.codes);
  mixed.scales = std::move(weights_.scales);
  mixed.zeros = std::move(weights_.zeros);
  mixed.means = std::move(means_);
  return NewMixedInt(std::move(mixed));
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
    // Every round of a fit looks at each weight once more.
    cost.rounded_weights =
        static_cast<double>(weights) * (1.0 + options_.fit_rounds());
    return cost;
  }

  bool uses_factor_diagonal() const override {
    return options_.range_fit == RangeFit::kSalienceSearch &&
           options_.salience_steps > 0;
  }

  int64_t GroupSizeFor(int64_t cols) const override {
    return options_.GroupSizeFor(cols);
  }

  absl::StatusOr<std::unique_ptr<LayerGrid<float>>> NewLayerGrid(
      int64_t rows, int64_t cols, const GridPlan& plan) const override {
    AffineGridOptions options = options_;
    RETURN_IF_ERROR(RefuseExponent(name(), plan));
    if (plan.group_size > 0) options.group_size = plan.group_size;
    if (!plan.group_bits.empty()) {
      const int64_t groups = cols / options.GroupSizeFor(cols);
      const int64_t planned = static_cast<int64_t>(plan.group_bits.size());
      if (planned != groups && planned != rows * groups) {
        return absl::InvalidArgumentError(absl::StrCat(
            "bits of ", planned, " groups for ", groups,
            " groups of input channels of ", rows, " output channels"));
      }
      for (uint8_t bits : plan.group_bits) {
        if (bits < 1 || bits > 8) {
          return absl::InvalidArgumentError(
              absl::StrCat("bits ", int{bits}, " of a group are not in 1..8"));
        }
      }
    }
    return std::make_unique<AffineLayerGrid<float>>(rows, cols, options,
                                                    plan.group_bits);
  }

 private:
  const AffineGridOptions options_;
};

}  // namespace

std::unique_ptr<Grid> NewAffineGrid(const v1::AffineGrid& options) {
  return std::make_unique<AffineGrid>(options);
}

}  // namespace quantd
