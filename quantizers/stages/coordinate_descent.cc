#include "quantizers/stages/coordinate_descent.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/float_formats.h"
#include "models/layouts/sparse_overlay.h"
#include "quantizers/coordinate_descent.h"
#include "quantizers/grid.h"
#include "quantizers/outlier_selection.h"
#include "quantizers/round_to_nearest.h"
#include "quantizers/stages/gptq.h"

namespace quantd {
namespace {

// --- Algorithm -------------------------------------------------------------

// Passes everything on to another grid and keeps the values it returned.
class RecordingGrid final : public LayerGrid<float> {
 public:
  RecordingGrid(LayerGrid<float>* base, Tensor* values)
      : base_(*base), values_(*values) {}

  int64_t group_size() const override { return base_.group_size(); }
  int64_t row_alignment() const override { return base_.row_alignment(); }
  void FitGroup(const GroupValues<float>& group) override {
    base_.FitGroup(group);
  }
  void Quantize(const Patch<float>& patch) override {
    base_.Quantize(patch);
    for (int64_t r = patch.row_begin; r < patch.row_end; ++r) {
      const int64_t local = r - patch.row_begin;
      std::copy_n(patch.quantized + local * patch.quantized_stride,
                  patch.columns, values_.row(r) + patch.column);
    }
  }
  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish(
      std::vector<int32_t>) override {
    return absl::InternalError("a recording grid is not finished");
  }

 private:
  LayerGrid<float>& base_;
  Tensor& values_;
};

// `base` with the outliers of `result` over it.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> WithOutliers(
    std::shared_ptr<const CompressedLinear> base, DescentResult<float> result) {
  for (float& value : result.outlier_values) value = NearestF16(value);
  return NewSparseOverlay(
      std::move(base),
      {std::move(result.outliers.row_starts),
       std::move(result.outliers.columns), std::move(result.outlier_values)});
}

OutlierSearch OutlierSearchFrom(v1::CoordinateDescentStage::OutlierSearch s) {
  switch (s) {
    case v1::CoordinateDescentStage::ENTRIES:
      return OutlierSearch::kEntries;
    case v1::CoordinateDescentStage::COLUMNS:
      return OutlierSearch::kColumns;
    default:
      return OutlierSearch::kNone;
  }
}

// --- Stage -----------------------------------------------------------------

class CoordinateDescentStage final : public Stage {
 public:
  explicit CoordinateDescentStage(const v1::CoordinateDescentStage& options)
      : grid_(NewGrid(options.grid())),
        from_gptq_(options.initial() == v1::CoordinateDescentStage::GPTQ),
        per_set_(options.true_sequential()) {
    options_.passes = static_cast<int>(options.passes());
    options_.relax_period = static_cast<int>(options.relax_period());
    options_.quantized_passes = static_cast<int>(options.quantized_passes());
    options_.outlier_search = OutlierSearchFrom(options.outlier_search());
    options_.outlier_fraction = options.outlier_fraction();
    options_.outlier_step = options.outlier_step();
    gptq_.act_order = options.act_order();
    gptq_.static_groups = true;
    gptq_.damping = options.damping();
  }

  absl::string_view name() const override { return "coordinate_descent"; }

  const Grid* grid() const override { return grid_.get(); }

  absl::Status Validate(const LinearShape& layer) const override {
    return grid_->Validate("coordinate_descent.grid", layer);
  }

  StatisticsRequest Needs() const override {
    StatisticsRequest request;
    request.second_moment = true;
    request.per_set = per_set_;
    return request;
  }

  StageCost Cost(const LinearShape& layer) const override {
    const GridCost rounding = grid_->Cost(layer);
    StageCost cost;
    cost.stored_bytes = rounding.stored_bytes;
    if (options_.outlier_search == OutlierSearch::kEntries) {
      cost.added_bytes = SparseOverlayBytes(
          layer.rows, layer.cols,
          OutlierCount(options_.outlier_fraction, layer.rows * layer.cols));
    } else if (options_.outlier_search == OutlierSearch::kColumns) {
      cost.added_bytes =
          WholeColumnBytes(layer.rows, layer.cols,
                           OutlierCount(options_.outlier_fraction, layer.cols));
    }
    const double rows = static_cast<double>(layer.rows);
    const double cols = static_cast<double>(layer.cols);
    const double square = cols * cols;
    const double passes = options_.passes;
    const bool search = options_.outlier_search != OutlierSearch::kNone;
    cost.rounded_weights = rounding.rounded_weights + passes * rows * cols;
    // The normalised moment. Beside it GPTQ's factor in float64 and float32
    // while it is made, in float32 from then on. The layer's arrays: target,
    // What, difference, pull and the best so far; of a search also the weight,
    // S twice and the best S, and an index a weight.
    const double factor = from_gptq_ ? 12 * square : 0;
    const double arrays = (search ? 9 * 4 + 8 : 5 * 4) * rows * cols;
    cost.working_bytes = static_cast<uint64_t>(
        4 * square +
        std::max(factor, factor / 3 + arrays +
                             static_cast<double>(rounding.working_bytes) +
                             4 * rows * cols));
    // Each pass: one product, half a one for the correction.
    cost.product_flops =
        (search ? 5 : 3) * passes * rows * square + 2 * rounding.product_flops;
    if (from_gptq_) {
      cost.product_flops += rows * square * rounding.passes;
      cost.factor_flops_per_set = 2.0 / 3.0 * square * cols;
    }
    return cost;
  }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    const LayerStatistics* shared = nullptr;
    Shared state;
    for (LayerWork& item : work.layers) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      const LayerStatistics& statistics = *item.statistics;
      if (statistics.tokens == 0) {
        RETURN_IF_ERROR(RoundUnseen(*grid_, item, ctx));
        continue;
      }
      if (&statistics != shared) {
        // The old one goes before the new one comes.
        state = {};
        ASSIGN_OR_RETURN(state, Annotate(Prepare(statistics.second_moment, ctx),
                                         "layer ", item.name));
        shared = &statistics;
      }
      RETURN_IF_ERROR(
          Annotate(ProcessLayer(item, state, ctx), "layer ", item.name));
    }
    return absl::OkStatus();
  }

 private:
  // What layers with the same inputs share.
  struct Shared {
    GptqFactor<float> factor;  // empty unless the descent starts from GPTQ
    DescentMoment<float> moment;
  };

  absl::StatusOr<Shared> Prepare(const SquareMatrix& h,
                                 ExecutionContext& ctx) const {
    Shared shared;
    if (from_gptq_) {
      ASSIGN_OR_RETURN(shared.factor, FactorForGptq<float>(h, gptq_, ctx));
    }
    shared.moment = NewDescentMoment<float>(h, SweepOrder(h, gptq_.act_order));
    return shared;
  }

  absl::Status ProcessLayer(LayerWork& item, const Shared& shared,
                            ExecutionContext& ctx) const {
    const Tensor& weight = item.weight;
    const int64_t rows = weight.rows();
    const int64_t cols = weight.cols();
    const bool search = options_.outlier_search != OutlierSearch::kNone;
    if (search && item.outliers != nullptr) {
      return absl::InvalidArgumentError(
          "outlier_search: outliers were chosen by an earlier stage");
    }
    ASSIGN_OR_RETURN(const auto grid, NewLayerGridFor(*grid_, item));
    const std::vector<double> diagonal =
        Diagonal(item.statistics->second_moment);

    // Weights in S say nothing about the grid.
    Tensor target = weight;
    Tensor importance;
    if (item.importance.has_value()) importance = *item.importance;
    if (search) {
      target = weight.Clone();
      importance = importance.size() > 0 ? importance.Clone()
                                         : Tensor::Uninitialized({rows, cols});
      if (!item.importance.has_value()) {
        std::fill_n(importance.data(), importance.size(), 1.0f);
      }
      const OutlierMask first =
          FirstOutliers(rows, cols, weight.data(), options_);
      for (int64_t r = 0; r < rows; ++r) {
        for (int32_t i = first.row_starts[static_cast<size_t>(r)];
             i < first.row_starts[static_cast<size_t>(r + 1)]; ++i) {
          const int32_t c = first.columns[static_cast<size_t>(i)];
          importance.row(r)[c] = 0;
          target.row(r)[c] = 0;
        }
      }
    }
    LayerView<float> view;
    view.rows = rows;
    view.cols = cols;
    view.weights = weight.data();
    view.moment_diagonal = diagonal;
    view.second_moment = &item.statistics->second_moment;
    const std::vector<float> conditional =
        from_gptq_ ? FactorDiagonal(shared.factor) : std::vector<float>();
    view.factor_diagonal = conditional;
    if (importance.size() > 0) view.importance = importance.data();
    RETURN_IF_ERROR(grid->Prepare(view, ctx));

    Tensor start;
    if (from_gptq_) {
      start = Tensor::Uninitialized({rows, cols});
      RecordingGrid recording(grid.get(), &start);
      bool again = true;
      while (again) {
        RETURN_IF_ERROR(QuantizeGptq<float>(rows, cols, target.data(),
                                            view.importance, shared.factor,
                                            gptq_, recording, ctx)
                            .status());
        ASSIGN_OR_RETURN(again, grid->Refine(view, ctx));
      }
      grid->UpdateValues(start.data());
    } else {
      FitAllGroups<float>(rows, cols, weight.data(), view.importance, *grid,
                          ctx);
    }
    target = Tensor();
    DescentResult<float> result;
    bool again = true;
    while (again) {
      ASSIGN_OR_RETURN(
          result, DescendOnGrid<float>(rows, cols, weight.data(),
                                       from_gptq_ ? start.data() : nullptr,
                                       shared.moment, options_, *grid, ctx));
      again = false;
      // A search's error is that of What + S, which the grid does not know.
      if (!search) {
        ASSIGN_OR_RETURN(again, grid->Refine(view, ctx));
      }
    }
    ASSIGN_OR_RETURN(item.compressed, grid->Finish({}));
    if (search) {
      ASSIGN_OR_RETURN(item.compressed, WithOutliers(std::move(item.compressed),
                                                     std::move(result)));
    }
    LayerReport& report = *item.report;
    report.dead_inputs =
        static_cast<int64_t>(std::count(diagonal.begin(), diagonal.end(), 0.0));
    if (from_gptq_) {
      report.damping = shared.factor.damping;
      report.damping_retries = shared.factor.retries;
    }
    if (report.dead_inputs > 0) {
      ctx.ReportNote(absl::StrCat(item.name, ": ", report.dead_inputs,
                                  " input channels never active"));
    }
    return absl::OkStatus();
  }

  const std::unique_ptr<const Grid> grid_;
  const bool from_gptq_;
  const bool per_set_;
  CoordinateDescentOptions options_;
  GptqOptions gptq_;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewCoordinateDescentStage(
    const v1::CoordinateDescentStage& options) {
  return std::make_unique<CoordinateDescentStage>(options);
}

}  // namespace quantd
