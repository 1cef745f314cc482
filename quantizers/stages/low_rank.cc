#include "quantizers/stages/low_rank.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "kernels/float_formats.h"

namespace quantd {
namespace {

// --- Algorithm -------------------------------------------------------------

// A [rows, cols] factor with components along its columns or rows.
struct Factor {
  int64_t components = 0;
  int64_t stride = 0;  // between components
  int64_t length = 0;
  int64_t step = 0;  // between elements of one
};

// Rounds `values` to what can be stored; returns the scales of integers.
std::vector<float> Round(const Factor& factor, FactorType type,
                         std::vector<float>* values) {
  std::vector<float>& v = *values;
  if (type == FactorType::kF16) {
    for (float& value : v) value = NearestF16(value);
    return {};
  }
  std::vector<float> scales;
  for (int64_t i = 0; i < factor.components; ++i) {
    const auto at = [&](int64_t k) -> float& {
      return v[static_cast<size_t>(i * factor.stride + k * factor.step)];
    };
    float largest = 0;
    for (int64_t k = 0; k < factor.length; ++k) {
      largest = std::max(largest, std::abs(at(k)));
    }
    const float scale = NearestF16(largest / 127.0f);
    for (int64_t k = 0; k < factor.length; ++k) {
      at(k) = scale > 0
                  ? std::clamp(std::nearbyint(at(k) / scale), -127.0f, 127.0f)
                  : 0.0f;
    }
    scales.push_back(scale);
  }
  return scales;
}

}  // namespace

LowRankFactors FactorsOf(const ThinSvd& svd, int64_t rows, int64_t cols,
                         FactorType type) {
  const int64_t m = svd.rank;
  LowRankFactors factors;
  factors.rank = m;
  factors.a.resize(svd.left.size());
  factors.b.resize(svd.right.size());
  for (int64_t i = 0; i < m; ++i) {
    const double root = std::sqrt(svd.singular_values[static_cast<size_t>(i)]);
    for (int64_t r = 0; r < rows; ++r) {
      const size_t index = static_cast<size_t>(r * m + i);
      factors.a[index] = static_cast<float>(root * svd.left[index]);
    }
    for (int64_t c = 0; c < cols; ++c) {
      const size_t index = static_cast<size_t>(i * cols + c);
      factors.b[index] = static_cast<float>(root * svd.right[index]);
    }
  }
  factors.a_scales = Round({m, 1, rows, m}, type, &factors.a);
  factors.b_scales = Round({m, cols, cols, 1}, type, &factors.b);
  return factors;
}

// --- Stage -----------------------------------------------------------------

namespace {

class LowRankStage final : public Stage {
 public:
  explicit LowRankStage(const v1::LowRankStage& options)
      : rank_(options.rank()),
        divisor_(options.rank_divisor()),
        type_(options.factors() == v1::LowRankStage::INT8 ? FactorType::kI8
                                                          : FactorType::kF16) {}

  absl::string_view name() const override { return "low_rank"; }

  absl::Status Validate(const LinearShape&) const override {
    return absl::OkStatus();
  }

  StatisticsRequest Needs() const override { return {}; }

  StageCost Cost(const LinearShape& layer) const override {
    StageCost cost;
    const int64_t rank = RankFor(layer.rows, layer.cols);
    cost.added_bytes = LowRankBytes(layer.rows, layer.cols, rank, type_);
    const double weights =
        static_cast<double>(layer.rows) * static_cast<double>(layer.cols);
    // What is left over, in float32; its transpose in float32, or, of a small
    // matrix, three of its size in float64.
    const ThinSvdOptions svd;
    const int64_t extent = std::min(layer.rows, layer.cols);
    const bool exact = extent <= svd.exact_extent;
    cost.working_bytes =
        static_cast<uint64_t>(weights * (exact ? 4 + 3 * 8 : 4 + 4)) +
        cost.added_bytes;
    cost.product_flops =
        exact ? 8 * weights * static_cast<double>(extent)
              : 4 * weights * static_cast<double>(rank + svd.oversampling) *
                    (svd.power_iterations + 1);
    return cost;
  }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    for (LayerWork& item : work.layers) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      RETURN_IF_ERROR(Annotate(ProcessLayer(item, ctx), "layer ", item.name));
    }
    return absl::OkStatus();
  }

 private:
  int64_t RankFor(int64_t rows, int64_t cols) const {
    const int64_t extent = std::min(rows, cols);
    return std::clamp<int64_t>(extent / divisor_, 1, rank_);
  }

  absl::Status ProcessLayer(LayerWork& item, ExecutionContext& ctx) const {
    const int64_t rows = item.weight.rows();
    const int64_t cols = item.weight.cols();
    Tensor rest = item.compressed->Decode(ctx);
    for (int64_t i = 0; i < rest.size(); ++i) {
      rest.data()[i] = item.weight.data()[i] - rest.data()[i];
    }
    ASSIGN_OR_RETURN(const ThinSvd svd,
                     LeadingSvd(rest, RankFor(rows, cols), {}, ctx));
    ASSIGN_OR_RETURN(item.compressed,
                     NewLowRankSum(std::move(item.compressed),
                                   FactorsOf(svd, rows, cols, type_)));
    return absl::OkStatus();
  }

  const int64_t rank_;
  const int64_t divisor_;
  const FactorType type_;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewLowRankStage(const v1::LowRankStage& options) {
  return std::make_unique<LowRankStage>(options);
}

}  // namespace quantd
