#include "quantizers/stages/activation_scaling.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/float_formats.h"
#include "models/layouts/input_scale.h"
#include "quantizers/layer_error.h"
#include "quantizers/round_to_nearest.h"

namespace quantd {
namespace {

// --- Algorithm -------------------------------------------------------------

// A normal number of binary16, whose quotients stay finite.
constexpr float kLeastScale = 0x1p-14f;

// s of one alpha; all one for inputs that no token reached.
std::vector<float> ScalesFor(absl::Span<const float> mean_abs, double alpha) {
  std::vector<double> raw;
  for (float mean : mean_abs) {
    raw.push_back(std::max(std::pow(double{mean}, alpha), 1e-4));
  }
  const auto [low, high] = std::minmax_element(raw.begin(), raw.end());
  const double norm = std::sqrt(*low * *high);
  std::vector<float> scales;
  for (double value : raw) {
    scales.push_back(
        NearestF16(std::max(static_cast<float>(value / norm), kLeastScale)));
  }
  return scales;
}

// Columns of w times s.
Tensor ScaledColumns(const Tensor& w, absl::Span<const float> scales,
                     ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(w.shape());
  ctx.device().pool().ParallelFor(w.rows(), [&](int64_t r) {
    for (size_t c = 0; c < scales.size(); ++c) {
      y.row(r)[c] = w.row(r)[c] * scales[c];
    }
  });
  return y;
}

// tr(D H D^T) of a layer rounded behind the scales.
absl::StatusOr<double> LossOf(const Grid& grid, const LayerWork& item,
                              absl::Span<const float> scales, const Tensor& h,
                              ExecutionContext& ctx) {
  LayerWork trial = item;
  trial.weight = ScaledColumns(item.weight, scales, ctx);
  RETURN_IF_ERROR(RoundToNearest(grid, {}, trial, ctx));
  Tensor difference = trial.compressed->Decode(ctx);
  for (int64_t r = 0; r < difference.rows(); ++r) {
    float* d = difference.row(r);
    const float* w = item.weight.row(r);
    for (size_t c = 0; c < scales.size(); ++c) d[c] = d[c] / scales[c] - w[c];
  }
  return OutputEnergy(difference, h, ctx);
}

// The statistics of inputs divided by s.
std::shared_ptr<const LayerStatistics> ScaleStatistics(
    const LayerStatistics& statistics, absl::Span<const float> scales) {
  auto scaled = std::make_shared<LayerStatistics>(statistics);
  SquareMatrix& h = scaled->second_moment;
  for (int64_t r = 0; r < h.n; ++r) {
    for (int64_t c = 0; c < h.n; ++c) {
      h.at(r, c) /= double{scales[static_cast<size_t>(r)]} *
                    scales[static_cast<size_t>(c)];
    }
  }
  for (size_t c = 0; c < scaled->mean_abs.size(); ++c) {
    scaled->mean_abs[c] /= scales[c];
  }
  if (scaled->sample.size() > 0) {
    scaled->sample = scaled->sample.Clone();
    for (int64_t r = 0; r < scaled->sample.rows(); ++r) {
      for (size_t c = 0; c < scales.size(); ++c) {
        scaled->sample.row(r)[c] /= scales[c];
      }
    }
  }
  return scaled;
}

// --- Stage -----------------------------------------------------------------

class ActivationScalingStage final : public Stage {
 public:
  explicit ActivationScalingStage(const v1::ActivationScalingStage& options)
      : steps_(options.steps()) {}

  absl::string_view name() const override { return "activation_scaling"; }

  absl::Status Validate(const LinearShape& layer) const override {
    if (grid_ != nullptr) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("activation_scaling: the recipe's solver has no grid to "
                     "round layer ",
                     layer.name, " to"));
  }

  StatisticsRequest Needs() const override {
    StatisticsRequest request;
    request.second_moment = true;
    request.mean_abs = true;
    return request;
  }

  void set_solver_grid(const Grid* grid) override { grid_ = grid; }

  StageCost Cost(const LinearShape& layer) const override {
    const double weights =
        static_cast<double>(layer.rows) * static_cast<double>(layer.cols);
    const double square =
        static_cast<double>(layer.cols) * static_cast<double>(layer.cols);
    const GridCost rounding = grid_->Cost(layer);
    StageCost cost;
    cost.added_bytes = InputScaleBytes(layer.cols);
    cost.held_bytes = static_cast<uint64_t>(4 * weights + 8 * square);
    // H in float32, the scaled weight, its codes and the difference.
    cost.working_bytes = std::max(
        cost.held_bytes, static_cast<uint64_t>(4 * square + 8 * weights) +
                             rounding.working_bytes);
    cost.rounded_weights = steps_ * rounding.rounded_weights;
    cost.product_flops =
        steps_ * 2.0 * weights * static_cast<double>(layer.cols);
    return cost;
  }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    for (size_t begin = 0; begin < work.layers.size();) {
      size_t end = begin + 1;
      while (end < work.layers.size() &&
             work.layers[end].statistics == work.layers[begin].statistics) {
        ++end;
      }
      RETURN_IF_ERROR(ScaleSet(
          absl::MakeSpan(work.layers).subspan(begin, end - begin), ctx));
      begin = end;
    }
    return absl::OkStatus();
  }

 private:
  // Layers that read the same input.
  absl::Status ScaleSet(absl::Span<LayerWork> layers, ExecutionContext& ctx) {
    const LayerStatistics& statistics = *layers[0].statistics;
    std::vector<float> best(static_cast<size_t>(layers[0].weight.cols()), 1.0f);
    if (statistics.tokens > 0) {
      const Tensor h = ToFloat(statistics.second_moment);
      double least = 0;
      double plain = 0;
      double best_alpha = 0;
      for (int i = 0; i < steps_; ++i) {
        const double alpha = static_cast<double>(i) / steps_;
        std::vector<float> scales = ScalesFor(statistics.mean_abs, alpha);
        double loss = 0;
        for (const LayerWork& item : layers) {
          RETURN_IF_ERROR(ctx.CheckCancelled());
          ASSIGN_OR_RETURN(const double own,
                           Annotate(LossOf(*grid_, item, scales, h, ctx),
                                    "layer ", item.name));
          loss += own;
        }
        if (i == 0) plain = loss;
        if (i == 0 || loss < least) {
          least = loss;
          best = std::move(scales);
          best_alpha = alpha;
        }
      }
      ctx.ReportNote(absl::StrCat(layers[0].name, ": input scales with alpha ",
                                  best_alpha, ", output error ",
                                  plain > 0 ? least / plain : 1.0,
                                  " of that without"));
    }
    const auto scaled = ScaleStatistics(statistics, best);
    for (LayerWork& item : layers) {
      item.weight = ScaledColumns(item.weight, best, ctx);
      item.statistics = scaled;
      item.transforms.push_back(
          [best](std::shared_ptr<const CompressedLinear> base) {
            return NewInputScale(std::move(base), best);
          });
    }
    return absl::OkStatus();
  }

  const int steps_;
  const Grid* grid_ = nullptr;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewActivationScalingStage(
    const v1::ActivationScalingStage& options) {
  return std::make_unique<ActivationScalingStage>(options);
}

}  // namespace quantd
