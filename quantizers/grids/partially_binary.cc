#include "quantizers/grids/partially_binary.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "quantizers/affine_grid.h"
#include "quantizers/grid_validation.h"

namespace quantd {
namespace {

// Rows per piece; fixed, so the partition does not depend on the threads.
constexpr int64_t kPieceRows = 16;

int64_t SalientPerGroup(const PartiallyBinaryOptions& options, int64_t rows,
                        int64_t group_size) {
  return std::llround(options.salient_fraction *
                      static_cast<double>(rows * group_size));
}

// 1 / U_jj^2 of every input channel as far as it is known; 0 where an input
// was never active, so that its weights are the last to be salient.
template <typename Real>
std::vector<double> ChannelWeights(const LayerView<Real>& layer,
                                   SalienceMetric metric) {
  std::vector<double> weights(static_cast<size_t>(layer.cols), 1.0);
  if (metric == SalienceMetric::kMagnitude) return weights;
  for (size_t c = 0; c < weights.size(); ++c) {
    if (!layer.factor_diagonal.empty()) {
      const double u = static_cast<double>(layer.factor_diagonal[c]);
      weights[c] = 1.0 / (u * u);
    } else if (!layer.moment_diagonal.empty()) {
      weights[c] = layer.moment_diagonal[c];
    }
    if (!layer.moment_diagonal.empty() && layer.moment_diagonal[c] == 0) {
      weights[c] = 0;
    }
  }
  return weights;
}

AffineGridOptions SalientGridOptions(const PartiallyBinaryOptions& options) {
  AffineGridOptions affine;
  affine.bits = options.salient_bits;
  return affine;
}

}  // namespace

int64_t PartiallyBinaryOptions::SalientCount(int64_t rows, int64_t cols) const {
  const int64_t size = GroupSizeFor(cols);
  return cols / size * SalientPerGroup(*this, rows, size);
}

// --- One layer -------------------------------------------------------------

template <typename Real>
PartiallyBinaryLayerGrid<Real>::PartiallyBinaryLayerGrid(
    int64_t rows, int64_t cols, const PartiallyBinaryOptions& options)
    : options_(options) {
  weights_.rows = rows;
  weights_.cols = cols;
  weights_.bits = options.salient_bits;
  weights_.group_size = options.GroupSizeFor(cols);
  const size_t size = static_cast<size_t>(rows * cols);
  const size_t groups = static_cast<size_t>(rows * weights_.groups());
  weights_.salient.assign(size, 0);
  weights_.codes.resize(size);
  weights_.alphas.resize(groups);
  if (options.center == BinaryCenter::kMean) weights_.means.resize(groups);
  weights_.scales.resize(static_cast<size_t>(rows));
  weights_.zeros.resize(static_cast<size_t>(rows));
}

template <typename Real>
absl::Status PartiallyBinaryLayerGrid<Real>::Prepare(
    const LayerView<Real>& layer, ExecutionContext& ctx) {
  ChooseSalient(layer, ctx);
  const AffineGridOptions options = SalientGridOptions(options_);
  const size_t cols = static_cast<size_t>(layer.cols);
  const int64_t pieces = (layer.rows + kPieceRows - 1) / kPieceRows;
  ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
    const int64_t end = std::min((piece + 1) * kPieceRows, layer.rows);
    std::vector<Real> importance;
    for (int64_t r = piece * kPieceRows; r < end; ++r) {
      if (layer.importance != nullptr) {
        const float* row = layer.importance + r * layer.cols;
        importance.assign(row, row + cols);
      }
      const GroupGrid grid = FitGroupGrid<Real>(
          {layer.weights + r * layer.cols, cols}, importance, options);
      weights_.scales[static_cast<size_t>(r)] = grid.scale;
      weights_.zeros[static_cast<size_t>(r)] = static_cast<uint8_t>(grid.zero);
    }
  });
  return absl::OkStatus();
}

template <typename Real>
void PartiallyBinaryLayerGrid<Real>::ChooseSalient(const LayerView<Real>& layer,
                                                   ExecutionContext& ctx) {
  const int64_t rows = layer.rows;
  const int64_t size = weights_.group_size;
  const int64_t count = SalientPerGroup(options_, rows, size);
  const std::vector<double> channel = ChannelWeights(layer, options_.metric);
  // A group's metric, row by row. What is left out of fits is stored elsewhere
  // and not worth a code.
  std::vector<float> metric(static_cast<size_t>(rows * size));
  const auto fill = [&](int64_t first, int64_t r) {
    for (int64_t c = first; c < first + size; ++c) {
      const int64_t i = r * layer.cols + c;
      const double w = static_cast<double>(layer.weights[i]);
      const bool excluded =
          layer.importance != nullptr && layer.importance[i] == 0;
      metric[static_cast<size_t>(r * size + c - first)] =
          excluded
              ? -1.0f
              : static_cast<float>(w * w * channel[static_cast<size_t>(c)]);
    }
  };
  if (count == 0) return;
  const int64_t pieces = (rows + kPieceRows - 1) / kPieceRows;
  for (int64_t first = 0; first < layer.cols; first += size) {
    ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
      const int64_t end = std::min((piece + 1) * kPieceRows, rows);
      for (int64_t r = piece * kPieceRows; r < end; ++r) fill(first, r);
    });
    std::vector<float> sorted = metric;
    const auto last = sorted.begin() + (count - 1);
    std::nth_element(sorted.begin(), last, sorted.end(), std::greater<>());
    const float threshold = *last;
    int64_t equals = std::count(sorted.begin(), last + 1, threshold);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < size; ++c) {
        const float m = metric[static_cast<size_t>(r * size + c)];
        if (m > threshold || (m == threshold && equals-- > 0)) {
          weights_.salient[static_cast<size_t>(r * layer.cols + first + c)] = 1;
        }
      }
    }
  }
}

template <typename Real>
void PartiallyBinaryLayerGrid<Real>::FitGroup(const GroupValues<Real>& group) {
  const uint8_t* salient = weights_.salient.data() + group.row * weights_.cols;
  std::vector<Real> importance(group.importance.begin(),
                               group.importance.end());
  if (importance.empty()) importance.resize(group.values.size(), Real{1});
  for (size_t i = 0; i < importance.size(); ++i) {
    if (salient[group.columns[i]] != 0) importance[i] = 0;
  }
  const BinaryGrid grid =
      FitBinaryGrid<Real>(group.values, importance, options_.center);
  const size_t index =
      static_cast<size_t>(group.row * weights_.groups() + group.group);
  weights_.alphas[index] = grid.alpha;
  if (!weights_.means.empty()) weights_.means[index] = grid.mean;
}

template <typename Real>
void PartiallyBinaryLayerGrid<Real>::Quantize(const Patch<Real>& patch) {
  const int max_code = (1 << weights_.bits) - 1;
  for (int64_t r = patch.row_begin; r < patch.row_end; ++r) {
    const int64_t local = r - patch.row_begin;
    const Real* values = patch.values + local * patch.value_stride;
    const size_t first = static_cast<size_t>(r * weights_.cols + patch.column);
    const uint8_t* salient = weights_.salient.data() + first;
    uint8_t* codes = weights_.codes.data() + first;
    const GroupGrid high = {weights_.scales[static_cast<size_t>(r)],
                            int{weights_.zeros[static_cast<size_t>(r)]}};
    const size_t index =
        static_cast<size_t>(r * weights_.groups() + patch.group);
    const BinaryGrid low = {
        weights_.means.empty() ? 0.0f : weights_.means[index],
        weights_.alphas[index]};
    for (int64_t c = 0; c < patch.columns; ++c) {
      codes[c] = static_cast<uint8_t>(
          salient[c] != 0 ? EncodeWeight(values[c], high, max_code)
                          : EncodeBinary(values[c], low));
    }
    if (patch.quantized == nullptr) continue;
    Real* quantized = patch.quantized + local * patch.quantized_stride;
    for (int64_t c = 0; c < patch.columns; ++c) {
      quantized[c] = salient[c] != 0 ? DecodeWeight<Real>(codes[c], high)
                                     : DecodeBinary<Real>(codes[c], low);
    }
  }
}

template <typename Real>
absl::StatusOr<std::shared_ptr<const CompressedLinear>>
PartiallyBinaryLayerGrid<Real>::Finish(std::vector<int32_t> group_index) {
  weights_.group_index = std::move(group_index);
  return NewPartiallyBinary(std::move(weights_));
}

template class PartiallyBinaryLayerGrid<float>;
template class PartiallyBinaryLayerGrid<double>;

// --- Grid ------------------------------------------------------------------

namespace {

class PartiallyBinaryGrid final : public Grid {
 public:
  explicit PartiallyBinaryGrid(const v1::PartiallyBinaryGrid& options) {
    options_.salient_fraction = options.salient_fraction();
    options_.metric = options.metric() == v1::PartiallyBinaryGrid::MAGNITUDE
                          ? SalienceMetric::kMagnitude
                          : SalienceMetric::kHessian;
    options_.salient_bits = static_cast<int>(options.salient_bits());
    options_.group_size = options.group_size();
    options_.center =
        options.centered() ? BinaryCenter::kMean : BinaryCenter::kZero;
  }

  absl::string_view name() const override { return "partially_binary"; }

  absl::Status Validate(absl::string_view prefix,
                        const LinearShape& layer) const override {
    AffineGridOptions grid;
    grid.group_size = options_.group_size;
    return ValidateGridFor(grid, absl::StrCat(prefix, ".", name()), layer);
  }

  GridCost Cost(const LinearShape& layer) const override {
    const uint64_t weights = static_cast<uint64_t>(layer.rows * layer.cols);
    const int64_t size = options_.GroupSizeFor(layer.cols);
    GridCost cost;
    cost.stored_bytes =
        PartiallyBinaryBytes(layer.rows, layer.cols, options_.salient_bits,
                             size, options_.center == BinaryCenter::kMean,
                             options_.SalientCount(layer.rows, layer.cols));
    // A byte a code and a byte a mask entry, and the packed layer that is made
    // of them, or the metric of one group twice.
    const uint64_t metric =
        2 * sizeof(float) * static_cast<uint64_t>(layer.rows * size);
    cost.working_bytes = 2 * weights + std::max(cost.stored_bytes, metric);
    cost.rounded_weights = 2.0 * static_cast<double>(weights);
    return cost;
  }

  bool uses_factor_diagonal() const override {
    return options_.metric == SalienceMetric::kHessian;
  }

  int64_t GroupSizeFor(int64_t cols) const override {
    return options_.GroupSizeFor(cols);
  }

  absl::StatusOr<std::unique_ptr<LayerGrid<float>>> NewLayerGrid(
      int64_t rows, int64_t cols, const GridPlan& plan) const override {
    if (!plan.group_bits.empty()) {
      return absl::InvalidArgumentError(
          "the partially_binary grid takes no bits per group");
    }
    PartiallyBinaryOptions options = options_;
    if (plan.group_size > 0) options.group_size = plan.group_size;
    return std::make_unique<PartiallyBinaryLayerGrid<float>>(rows, cols,
                                                             options);
  }

 private:
  PartiallyBinaryOptions options_;
};

}  // namespace

std::unique_ptr<Grid> NewPartiallyBinaryGrid(
    const v1::PartiallyBinaryGrid& options) {
  return std::make_unique<PartiallyBinaryGrid>(options);
}

}  // namespace quantd
