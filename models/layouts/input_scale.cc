#include "models/layouts/input_scale.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/layouts/stored_parts.h"
#include "models/tunable_linear.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

constexpr char kScalePart[] = "input_scale";

class InputScaleLinear final : public CompressedLinear {
 public:
  InputScaleLinear(std::shared_ptr<const CompressedLinear> base,
                   std::vector<float> scales)
      : base_(std::move(base)), scales_(std::move(scales)) {}

  absl::string_view layout() const override { return kInputScaleLayout; }
  int64_t rows() const override { return base_->rows(); }
  int64_t cols() const override { return base_->cols(); }
  const CompressedLinear* base() const override { return base_.get(); }

  uint64_t stored_bits() const override {
    return base_->stored_bits() + 8 * InputScaleBytes(cols());
  }

  Tensor Decode(ExecutionContext& ctx) const override {
    Tensor w = base_->Decode(ctx);
    ctx.device().pool().ParallelFor(w.rows(), [&](int64_t r) {
      float* const row = w.row(r);
      for (size_t c = 0; c < scales_.size(); ++c) row[c] /= scales_[c];
    });
    return w;
  }

  std::unique_ptr<TunableLinear> Tunable() const override {
    Tensor factors = Tensor::Uninitialized({cols()});
    for (size_t c = 0; c < scales_.size(); ++c) {
      factors.data()[c] = 1 / scales_[c];
    }
    return WrapTunable(
        base_->Tunable(),
        [factors](const Tensor& w, ExecutionContext& ctx) {
          return ops::ScaleColumns(w, factors, ctx);
        },
        [scales = scales_](std::shared_ptr<const CompressedLinear> base) {
          return NewInputScale(std::move(base), scales);
        });
  }

  nlohmann::json Save(absl::string_view layer,
                      std::vector<TensorToWrite>* tensors) const override {
    nlohmann::json base = base_->Save(layer, tensors);
    tensors->push_back(
        F16Tensor(absl::StrCat(layer, ".", kScalePart), {cols()}, scales_));
    return {{"layout", std::string(kInputScaleLayout)},
            {"base", std::move(base)}};
  }

 private:
  const std::shared_ptr<const CompressedLinear> base_;
  const std::vector<float> scales_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewInputScale(
    std::shared_ptr<const CompressedLinear> base, std::vector<float> scales) {
  RETURN_IF_ERROR(CheckBase(base.get(), kInputScaleLayout));
  RETURN_IF_ERROR(CheckCount("input scales", scales.size(), base->cols()));
  RETURN_IF_ERROR(CheckF16(scales, "input scale"));
  for (float scale : scales) {
    if (scale <= 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("input scale ", scale, " is not positive"));
    }
  }
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<InputScaleLinear>(std::move(base), std::move(scales)));
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadInputScale(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols) {
  ASSIGN_OR_RETURN(auto base, LoadBase(find, layer, header, rows, cols));
  ASSIGN_OR_RETURN(std::vector<float> scales,
                   F16Part(find, layer, kScalePart, {cols}));
  return NewInputScale(std::move(base), std::move(scales));
}

}  // namespace quantd
