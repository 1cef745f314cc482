#include "quantizers/outliers.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "kernels/float_formats.h"
#include "models/layouts/sparse_overlay.h"

namespace quantd {
namespace {

template <typename Real>
class OutlierGrid final : public LayerGrid<Real> {
 public:
  OutlierGrid(std::unique_ptr<LayerGrid<Real>> base, const OutlierMask& mask)
      : base_(std::move(base)),
        mask_(mask),
        values_(static_cast<size_t>(mask.count())) {}

  absl::Status Prepare(const LayerView<Real>& layer,
                       ExecutionContext& ctx) override {
    cols_ = layer.cols;
    const std::vector<float> importance = ImportanceOfOthers(layer);
    LayerView<Real> view = layer;
    view.importance = importance.data();
    return base_->Prepare(view, ctx);
  }

  int64_t group_size() const override { return base_->group_size(); }
  int64_t row_alignment() const override { return base_->row_alignment(); }

  absl::StatusOr<bool> Refine(const LayerView<Real>& layer,
                              ExecutionContext& ctx) override {
    const std::vector<float> importance = ImportanceOfOthers(layer);
    LayerView<Real> view = layer;
    view.importance = importance.data();
    return base_->Refine(view, ctx);
  }

  void UpdateValues(Real* values) const override {
    base_->UpdateValues(values);
    const int64_t rows = static_cast<int64_t>(mask_.row_starts.size()) - 1;
    for (int64_t r = 0; r < rows; ++r) {
      for (int32_t i = Start(r); i < Start(r + 1); ++i) {
        const size_t index = static_cast<size_t>(i);
        values[r * cols_ + mask_.columns[index]] =
            static_cast<Real>(values_[index]);
      }
    }
  }

  void FitGroup(const GroupValues<Real>& group) override {
    if (Start(group.row) == Start(group.row + 1)) {
      return base_->FitGroup(group);
    }
    std::vector<Real> importance(group.importance.begin(),
                                 group.importance.end());
    if (importance.empty()) importance.resize(group.values.size(), Real{1});
    for (size_t i = 0; i < importance.size(); ++i) {
      if (mask_.Find(group.row, group.columns[i]) >= 0) importance[i] = 0;
    }
    GroupValues<Real> normal = group;
    normal.importance = importance;
    base_->FitGroup(normal);
  }

  void Quantize(const Patch<Real>& patch) override {
    base_->Quantize(patch);
    for (int64_t r = patch.row_begin; r < patch.row_end; ++r) {
      const int64_t local = r - patch.row_begin;
      const auto begin = mask_.columns.begin() + Start(r);
      const auto end = mask_.columns.begin() + Start(r + 1);
      for (auto it = std::lower_bound(begin, end, patch.column);
           it != end && *it < patch.column + patch.columns; ++it) {
        const int64_t c = *it - patch.column;
        const float kept = NearestF16(
            static_cast<double>(patch.values[local * patch.value_stride + c]));
        values_[static_cast<size_t>(it - mask_.columns.begin())] = kept;
        if (patch.quantized != nullptr) {
          patch.quantized[local * patch.quantized_stride + c] =
              static_cast<Real>(kept);
        }
      }
    }
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish(
      std::vector<int32_t> group_index) override {
    ASSIGN_OR_RETURN(auto base, base_->Finish(std::move(group_index)));
    return NewSparseOverlay(
        std::move(base), {mask_.row_starts, mask_.columns, std::move(values_)});
  }

 private:
  // [rows, cols], zero at the outliers: what one is worth says nothing about
  // the others.
  std::vector<float> ImportanceOfOthers(const LayerView<Real>& layer) const {
    std::vector<float> importance(static_cast<size_t>(layer.rows * layer.cols),
                                  1.0f);
    if (layer.importance != nullptr) {
      importance.assign(layer.importance,
                        layer.importance + layer.rows * layer.cols);
    }
    for (int64_t r = 0; r < layer.rows; ++r) {
      for (int32_t i = Start(r); i < Start(r + 1); ++i) {
        importance[static_cast<size_t>(
            r * layer.cols + mask_.columns[static_cast<size_t>(i)])] = 0;
      }
    }
    return importance;
  }

  int32_t Start(int64_t row) const {
    return mask_.row_starts[static_cast<size_t>(row)];
  }

  const std::unique_ptr<LayerGrid<Real>> base_;
  const OutlierMask& mask_;
  int64_t cols_ = 0;
  std::vector<float> values_;  // as mask_.columns
};

}  // namespace

int64_t OutlierMask::Find(int64_t row, int64_t column) const {
  const auto begin = columns.begin() + row_starts[static_cast<size_t>(row)];
  const auto end = columns.begin() + row_starts[static_cast<size_t>(row + 1)];
  const auto it = std::lower_bound(begin, end, column);
  return it != end && *it == column ? it - columns.begin() : -1;
}

template <typename Real>
std::unique_ptr<LayerGrid<Real>> NewOutlierGrid(
    std::unique_ptr<LayerGrid<Real>> base, const OutlierMask& mask) {
  return std::make_unique<OutlierGrid<Real>>(std::move(base), mask);
}

template std::unique_ptr<LayerGrid<float>> NewOutlierGrid<float>(
    std::unique_ptr<LayerGrid<float>>, const OutlierMask&);
template std::unique_ptr<LayerGrid<double>> NewOutlierGrid<double>(
    std::unique_ptr<LayerGrid<double>>, const OutlierMask&);

}  // namespace quantd
