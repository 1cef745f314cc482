#include "quantizers/grids/codebook.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "kernels/float_formats.h"
#include "models/layouts/row_codebook.h"
#include "quantizers/grid_validation.h"
#include "quantizers/scalar_kmeans.h"

namespace quantd {
namespace {

// --- One layer -------------------------------------------------------------

class CodebookLayerGrid final : public LayerGrid<float> {
 public:
  CodebookLayerGrid(int64_t rows, int64_t cols, int bits,
                    bool weight_by_second_moment)
      : weight_by_second_moment_(weight_by_second_moment),
        entries_(int64_t{1} << bits),
        bounds_(static_cast<size_t>(rows * (entries_ - 1))) {
    weights_.rows = rows;
    weights_.cols = cols;
    weights_.bits = bits;
    weights_.codes.resize(static_cast<size_t>(rows * cols));
    weights_.codebook.resize(static_cast<size_t>(rows * entries_));
  }

  absl::Status Prepare(const LayerView<float>& layer,
                       ExecutionContext&) override {
    if (weight_by_second_moment_) {
      moment_.assign(layer.moment_diagonal.begin(),
                     layer.moment_diagonal.end());
    }
    return absl::OkStatus();
  }

  int64_t group_size() const override { return weights_.cols; }

  void FitGroup(const GroupValues<float>& group) override {
    const std::vector<double> values(group.values.begin(), group.values.end());
    std::vector<double> counts(group.importance.begin(),
                               group.importance.end());
    if (!moment_.empty()) {
      if (counts.empty()) counts.assign(values.size(), 1.0);
      for (size_t i = 0; i < counts.size(); ++i) {
        counts[i] *= moment_[static_cast<size_t>(group.columns[i])];
      }
    }
    const std::vector<double> centroids =
        FitScalarKMeans(values, counts, static_cast<int>(entries_)).centroids;
    float* table = weights_.codebook.data() + group.row * entries_;
    for (size_t j = 0; j < static_cast<size_t>(entries_); ++j) {
      // Rows of few distinct values repeat the last: ties go to the first.
      table[j] = j < centroids.size() ? NearestF16(centroids[j])
                 : j > 0              ? table[j - 1]
                                      : 0.0f;
    }
    // Exact: the sum of two binary16 values fits binary32 as a rule, and where
    // it rounds, both neighbours are as good.
    float* bounds = bounds_.data() + group.row * (entries_ - 1);
    for (int64_t j = 0; j + 1 < entries_; ++j) {
      bounds[j] = 0.5f * (table[j] + table[j + 1]);
    }
  }

  void Quantize(const Patch<float>& patch) override {
    for (int64_t r = patch.row_begin; r < patch.row_end; ++r) {
      const int64_t local = r - patch.row_begin;
      const float* values = patch.values + local * patch.value_stride;
      const float* table = weights_.codebook.data() + r * entries_;
      const float* bounds = bounds_.data() + r * (entries_ - 1);
      uint8_t* codes = weights_.codes.data() + r * weights_.cols + patch.column;
      for (int64_t c = 0; c < patch.columns; ++c) {
        codes[c] = static_cast<uint8_t>(
            std::lower_bound(bounds, bounds + entries_ - 1, values[c]) -
            bounds);
      }
      if (patch.quantized == nullptr) continue;
      float* quantized = patch.quantized + local * patch.quantized_stride;
      for (int64_t c = 0; c < patch.columns; ++c) {
        quantized[c] = table[codes[c]];
      }
    }
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish(
      std::vector<int32_t> /*group_index: one group per row*/) override {
    return NewRowCodebook(std::move(weights_));
  }

 private:
  const bool weight_by_second_moment_;
  const int64_t entries_;
  std::vector<double> moment_;  // per input channel; empty: not asked for
  std::vector<float> bounds_;   // [rows, entries - 1], between neighbours
  RowCodebookWeights weights_;
};

// --- Grid ------------------------------------------------------------------

class CodebookGrid final : public Grid {
 public:
  explicit CodebookGrid(const v1::CodebookGrid& options)
      : bits_(static_cast<int>(options.bits())),
        weight_by_second_moment_(options.weight_by_second_moment()) {}

  absl::string_view name() const override { return "codebook"; }

  absl::Status Validate(absl::string_view, const LinearShape&) const override {
    return absl::OkStatus();
  }

  GridCost Cost(const LinearShape& layer) const override {
    const uint64_t weights = static_cast<uint64_t>(layer.rows * layer.cols);
    const uint64_t entries = uint64_t{1} << bits_;
    GridCost cost;
    cost.stored_bytes = RowCodebookBytes(layer.rows, layer.cols, bits_);
    // A byte a code, two tables a row, the packed layer; the dynamic program
    // of a row on every thread is small beside them.
    cost.working_bytes = cost.stored_bytes + weights +
                         8 * entries * static_cast<uint64_t>(layer.rows);
    // Every layer of the dynamic program looks at each weight log n times.
    cost.rounded_weights = static_cast<double>(weights) *
                           static_cast<double>(entries) *
                           std::log2(2.0 + static_cast<double>(layer.cols));
    return cost;
  }

  int64_t GroupSizeFor(int64_t cols) const override { return cols; }

  absl::StatusOr<std::unique_ptr<LayerGrid<float>>> NewLayerGrid(
      int64_t rows, int64_t cols, const GridPlan& plan) const override {
    RETURN_IF_ERROR(RefusePlan(name(), plan));
    return std::make_unique<CodebookLayerGrid>(rows, cols, bits_,
                                               weight_by_second_moment_);
  }

 private:
  const int bits_;
  const bool weight_by_second_moment_;
};

}  // namespace

std::unique_ptr<Grid> NewCodebookGrid(const v1::CodebookGrid& options) {
  return std::make_unique<CodebookGrid>(options);
}

}  // namespace quantd
