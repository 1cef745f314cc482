#include "quantizers/stages/half_quadratic.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/layouts/packed_affine.h"
#include "quantizers/grid.h"
#include "quantizers/grid_validation.h"
#include "quantizers/half_quadratic.h"
#include "quantizers/round_to_nearest.h"

namespace quantd {
namespace {

// --- One layer -------------------------------------------------------------

// As a grid, so that outliers and importance are what they are elsewhere.
class RealZeroLayerGrid final : public LayerGrid<float> {
 public:
  RealZeroLayerGrid(int64_t rows, int64_t cols,
                    const HalfQuadraticOptions& options)
      : options_(options) {
    weights_.rows = rows;
    weights_.cols = cols;
    weights_.bits = options.bits;
    weights_.group_size = options.GroupSizeFor(cols);
    weights_.codes.resize(static_cast<size_t>(rows * cols));
    weights_.scales.resize(static_cast<size_t>(rows * weights_.groups()));
    weights_.zeros.resize(weights_.scales.size());
  }

  int64_t group_size() const override { return weights_.group_size; }

  void FitGroup(const GroupValues<float>& group) override {
    const RealZeroGrid grid =
        FitHalfQuadratic(group.values, group.importance, options_);
    const size_t index = IndexOf(group.row, group.group);
    weights_.scales[index] = grid.scale;
    weights_.zeros[index] = grid.zero;
  }

  void Quantize(const Patch<float>& patch) override {
    for (int64_t r = patch.row_begin; r < patch.row_end; ++r) {
      const size_t index = IndexOf(r, patch.group);
      const RealZeroGrid grid = {weights_.scales[index], weights_.zeros[index]};
      const int64_t local = r - patch.row_begin;
      const float* values = patch.values + local * patch.value_stride;
      uint8_t* codes = weights_.codes.data() + r * weights_.cols + patch.column;
      for (int64_t c = 0; c < patch.columns; ++c) {
        codes[c] =
            static_cast<uint8_t>(grid.Encode(values[c], options_.max_code()));
      }
      if (patch.quantized == nullptr) continue;
      float* quantized = patch.quantized + local * patch.quantized_stride;
      for (int64_t c = 0; c < patch.columns; ++c) {
        quantized[c] = grid.Decode(codes[c]);
      }
    }
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish(
      std::vector<int32_t> /*group_index*/) override {
    return NewPackedAffine(std::move(weights_));
  }

 private:
  size_t IndexOf(int64_t row, int64_t group) const {
    return static_cast<size_t>(row * weights_.groups() + group);
  }

  const HalfQuadraticOptions options_;
  PackedAffineWeights weights_;
};

class HalfQuadraticGrid final : public Grid {
 public:
  explicit HalfQuadraticGrid(const HalfQuadraticOptions& options)
      : options_(options) {}

  absl::string_view name() const override { return "half_quadratic"; }

  absl::Status Validate(absl::string_view prefix,
                        const LinearShape& layer) const override {
    return ValidateGroupSize(options_.group_size, prefix, layer);
  }

  GridCost Cost(const LinearShape& layer) const override {
    const uint64_t weights = static_cast<uint64_t>(layer.rows * layer.cols);
    GridCost cost;
    cost.stored_bytes = PackedAffineBytes(layer.rows, layer.cols, options_.bits,
                                          options_.GroupSizeFor(layer.cols));
    // A byte a code, and the packed layer that is made of them.
    cost.working_bytes = cost.stored_bytes + weights;
    // An iteration moves the zero point and measures the error.
    cost.rounded_weights =
        static_cast<double>(weights) * (2.0 + 2.0 * options_.iterations);
    return cost;
  }

  int64_t GroupSizeFor(int64_t cols) const override {
    return options_.GroupSizeFor(cols);
  }

  absl::StatusOr<std::unique_ptr<LayerGrid<float>>> NewLayerGrid(
      int64_t rows, int64_t cols, const GridPlan& plan) const override {
    RETURN_IF_ERROR(RefuseExponent(name(), plan));
    HalfQuadraticOptions options = options_;
    if (plan.group_size > 0) options.group_size = plan.group_size;
    if (!plan.group_bits.empty()) {
      return absl::UnimplementedError(
          "half-quadratic grids of several widths in one layer");
    }
    return std::make_unique<RealZeroLayerGrid>(rows, cols, options);
  }

 private:
  const HalfQuadraticOptions options_;
};

// --- Stage -----------------------------------------------------------------

HalfQuadraticOptions OptionsFrom(const v1::HalfQuadraticStage& options) {
  HalfQuadraticOptions result;
  result.bits = static_cast<int>(options.bits());
  result.group_size = options.group_size();
  result.norm = options.norm();
  result.beta = options.beta();
  result.kappa = options.kappa();
  result.iterations = static_cast<int>(options.iterations());
  return result;
}

class HalfQuadraticStage final : public Stage {
 public:
  explicit HalfQuadraticStage(const v1::HalfQuadraticStage& options)
      : grid_(OptionsFrom(options)) {}

  absl::string_view name() const override { return "half_quadratic"; }

  absl::Status Validate(const LinearShape& layer) const override {
    return grid_.Validate("half_quadratic", layer);
  }

  StatisticsRequest Needs() const override { return {}; }

  StageCost Cost(const LinearShape& layer) const override {
    return RoundToNearestCost(layer, grid_);
  }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    for (LayerWork& item : work.layers) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      RETURN_IF_ERROR(
          Annotate(RoundToNearest(grid_, {}, item, ctx), "layer ", item.name));
    }
    return absl::OkStatus();
  }

 private:
  const HalfQuadraticGrid grid_;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewHalfQuadraticStage(
    const v1::HalfQuadraticStage& options) {
  return std::make_unique<HalfQuadraticStage>(options);
}

}  // namespace quantd
