#include "quantizers/stages/sensitivity.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

// --- Stage -----------------------------------------------------------------

class SensitivityStage final : public Stage {
 public:
  explicit SensitivityStage(const v1::SensitivityStage& options)
      : weighs_errors_(options.weigh_errors()) {
    needs_.windows = true;
    needs_.sensitivity.measure =
        options.measure() == v1::SensitivityStage::ABSOLUTES
            ? SensitivityRequest::Measure::kAbsolutes
            : SensitivityRequest::Measure::kSquares;
    needs_.sensitivity.windows = options.windows();
  }

  absl::string_view name() const override { return "sensitivity"; }

  absl::Status ValidateModel(const ModelDescription& model) const override {
    if (!model.predicts_next_token) {
      return absl::InvalidArgumentError(
          absl::StrCat("sensitivity: family ", model.architecture,
                       " does not predict the next token: there is no loss to "
                       "differentiate"));
    }
    return absl::OkStatus();
  }

  absl::Status Validate(const LinearShape& /*layer*/) const override {
    return absl::OkStatus();
  }

  StatisticsRequest Needs() const override { return needs_; }

  StageCost Cost(const LinearShape& layer) const override {
    StageCost cost;
    cost.held_bytes = static_cast<uint64_t>(layer.rows * layer.cols) *
                      sizeof(float) * (weighs_errors_ ? 2 : 1);
    return cost;
  }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    for (LayerWork& item : work.layers) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      if (!item.transforms.empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat("layer ", item.name,
                         ": sensitivity is that of weights in their own "
                         "basis: the stage comes before those that change it"));
      }
      if (weighs_errors_ && item.sensitivity.size() > 0) {
        item.importance = ImportanceOf(item.sensitivity);
      }
    }
    return absl::OkStatus();
  }

 private:
  // An importance of zero would leave a weight out of its group's range.
  static constexpr double kLeastImportance = 1e-6;

  // Relative to the mean of the row, which keeps sums away from the ends of the
  // range of floats; in a row that the loss does not depend on all count alike.
  static Tensor ImportanceOf(const Tensor& sensitivity) {
    Tensor importance = sensitivity.Clone();
    for (int64_t r = 0; r < importance.rows(); ++r) {
      float* const row = importance.row(r);
      double sum = 0;
      for (int64_t c = 0; c < importance.cols(); ++c) sum += row[c];
      const double mean = sum / static_cast<double>(importance.cols());
      for (int64_t c = 0; c < importance.cols(); ++c) {
        row[c] =
            mean > 0
                ? static_cast<float>(std::max(row[c] / mean, kLeastImportance))
                : 1.0f;
      }
    }
    return importance;
  }

  const bool weighs_errors_;
  StatisticsRequest needs_;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewSensitivityStage(
    const v1::SensitivityStage& options) {
  return std::make_unique<SensitivityStage>(options);
}

}  // namespace quantd
