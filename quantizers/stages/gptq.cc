#include "quantizers/stages/gptq.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "quantizers/column_sweep.h"
#include "quantizers/grid.h"
#include "quantizers/round_to_nearest.h"

namespace quantd {
namespace {

// --- Algorithm -------------------------------------------------------------

// Quantizes columns in sweep order onto a layer's grid.
template <typename Real>
class GridColumnQuantizer final : public ColumnQuantizer<Real> {
 public:
  // `order[j]` is the original column at sweep position j. With static groups
  // the grid was fitted before the sweep; otherwise groups are runs of
  // group_size sweep positions, fitted when the sweep reaches them.
  // `importance` [rows, cols] in original order, or null.
  GridColumnQuantizer(const std::vector<int64_t>& order, bool static_groups,
                      const float* importance, LayerGrid<Real>* grid)
      : order_(order),
        static_groups_(static_groups),
        importance_(importance),
        grid_(*grid),
        group_size_(grid->group_size()) {}

  int64_t NeedsUpTo(int64_t column) const override {
    if (static_groups_) return column + 1;
    return column / group_size_ * group_size_ + group_size_;
  }

  void QuantizeColumn(int64_t column, int64_t row_begin, int64_t row_end,
                      const WorkingWeights<Real>& weights,
                      Real* quantized) override {
    const int64_t original = order_[static_cast<size_t>(column)];
    const int64_t group = (static_groups_ ? original : column) / group_size_;
    if (!static_groups_ && column % group_size_ == 0) {
      for (int64_t r = row_begin; r < row_end; ++r) {
        Fit(column, group, r, weights);
      }
    }
    Patch<Real> patch;
    patch.row_begin = row_begin;
    patch.row_end = row_end;
    patch.column = original;
    patch.group = group;
    patch.values = weights.row(row_begin) + column;
    patch.value_stride = weights.cols;
    patch.quantized = quantized;
    patch.quantized_stride = 1;
    grid_.Quantize(patch);
  }

 private:
  void Fit(int64_t column, int64_t group, int64_t row,
           const WorkingWeights<Real>& weights) {
    GroupValues<Real> values;
    values.row = row;
    values.group = group;
    values.values = {weights.row(row) + column,
                     static_cast<size_t>(group_size_)};
    values.columns = absl::MakeConstSpan(order_).subspan(
        static_cast<size_t>(column), values.values.size());
    std::vector<Real> importance;
    if (importance_ != nullptr) {
      importance.reserve(values.values.size());
      for (int64_t c : values.columns) {
        importance.push_back(importance_[row * weights.cols + c]);
      }
      values.importance = importance;
    }
    grid_.FitGroup(values);
  }

  const std::vector<int64_t>& order_;
  const bool static_groups_;
  const float* const importance_;
  LayerGrid<Real>& grid_;
  const int64_t group_size_;
};

// Rows per piece; fixed, so the partition does not depend on the threads.
constexpr int64_t kPieceRows = 16;

}  // namespace

std::vector<int64_t> SweepOrder(const SquareMatrix& h, bool act_order) {
  std::vector<int64_t> order(static_cast<size_t>(h.n));
  std::iota(order.begin(), order.end(), 0);
  if (act_order) {
    // As in the factor, an input that was never active counts as one.
    const auto diagonal = [&](int64_t i) {
      return h.at(i, i) != 0 ? h.at(i, i) : 1.0;
    };
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return diagonal(a) > diagonal(b);
    });
  }
  return order;
}

template <typename Real>
absl::StatusOr<GptqFactor<Real>> FactorForGptq(const SquareMatrix& h,
                                               const GptqOptions& options,
                                               ExecutionContext& ctx) {
  GptqFactor<Real> result;
  result.order = SweepOrder(h, options.act_order);
  for (int64_t c = 0; c < h.n; ++c) {
    if (h.at(c, c) == 0) result.dead_inputs.push_back(c);
  }
  ASSIGN_OR_RETURN(InverseFactor factor,
                   FactorDampedInverse(h, options.damping, result.order, ctx));
  result.damping = factor.damping;
  result.retries = factor.retries;
  if constexpr (std::is_same_v<Real, double>) {
    result.upper = std::move(factor.upper.values);
  } else {
    result.upper.assign(factor.upper.values.begin(), factor.upper.values.end());
  }
  return result;
}

template <typename Real>
std::vector<Real> FactorDiagonal(const GptqFactor<Real>& factor) {
  const size_t n = factor.order.size();
  std::vector<Real> diagonal(n);
  for (size_t j = 0; j < n; ++j) {
    diagonal[static_cast<size_t>(factor.order[j])] = factor.upper[j * n + j];
  }
  return diagonal;
}

template <typename Real>
absl::StatusOr<GptqResult> QuantizeGptq(
    int64_t rows, int64_t cols, const Real* weight, const float* importance,
    const GptqFactor<Real>& factor, const GptqOptions& options,
    LayerGrid<Real>& grid, ExecutionContext& ctx) {
  // No calibration token ever excited these: their weight cannot matter.
  std::vector<Real> alive(weight, weight + rows * cols);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c : factor.dead_inputs) {
      alive[static_cast<size_t>(r * cols + c)] = 0;
    }
  }
  const int64_t group_size = grid.group_size();
  const bool fixed_groups = options.static_groups || group_size == cols;
  if (fixed_groups) {
    FitAllGroups<Real>(rows, cols, alive.data(), importance, grid, ctx);
  }
  std::vector<Real> working(alive.size());
  const int64_t pieces = (rows + kPieceRows - 1) / kPieceRows;
  ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
    const int64_t end = std::min((piece + 1) * kPieceRows, rows);
    for (int64_t r = piece * kPieceRows; r < end; ++r) {
      for (int64_t j = 0; j < cols; ++j) {
        working[static_cast<size_t>(r * cols + j)] = alive[static_cast<size_t>(
            r * cols + factor.order[static_cast<size_t>(j)])];
      }
    }
  });
  alive = {};

  GridColumnQuantizer<Real> quantizer(factor.order, fixed_groups, importance,
                                      &grid);
  ColumnSweepOptions sweep;
  sweep.column_block = options.column_block;
  sweep.row_alignment = grid.row_alignment();
  GptqResult result;
  ASSIGN_OR_RETURN(
      result.loss,
      SweepColumns<Real>(WorkingWeights<Real>{rows, cols, working.data()},
                         factor.upper, sweep, quantizer, ctx));
  if (!fixed_groups && options.act_order) {
    // Groups are runs of sweep positions: inference needs the way back.
    result.group_index.resize(static_cast<size_t>(cols));
    for (int64_t j = 0; j < cols; ++j) {
      result.group_index[static_cast<size_t>(
          factor.order[static_cast<size_t>(j)])] =
          static_cast<int32_t>(j / group_size);
    }
  }
  return result;
}

template absl::StatusOr<GptqFactor<float>> FactorForGptq(const SquareMatrix&,
                                                         const GptqOptions&,
                                                         ExecutionContext&);
template absl::StatusOr<GptqFactor<double>> FactorForGptq(const SquareMatrix&,
                                                          const GptqOptions&,
                                                          ExecutionContext&);
template std::vector<float> FactorDiagonal<float>(const GptqFactor<float>&);
template std::vector<double> FactorDiagonal<double>(const GptqFactor<double>&);
template absl::StatusOr<GptqResult> QuantizeGptq<float>(
    int64_t, int64_t, const float*, const float*, const GptqFactor<float>&,
    const GptqOptions&, LayerGrid<float>&, ExecutionContext&);
template absl::StatusOr<GptqResult> QuantizeGptq<double>(
    int64_t, int64_t, const double*, const float*, const GptqFactor<double>&,
    const GptqOptions&, LayerGrid<double>&, ExecutionContext&);

// --- Stage -----------------------------------------------------------------

namespace {

class GptqStage final : public Stage {
 public:
  explicit GptqStage(const v1::GptqStage& options)
      : grid_(NewGrid(options.grid())), per_set_(options.true_sequential()) {
    options_.act_order = options.act_order();
    options_.static_groups = options.static_groups();
    options_.damping = options.damping();
    options_.column_block = options.column_block();
  }

  absl::string_view name() const override { return "gptq"; }

  absl::Status Validate(const LinearShape& layer) const override {
    return grid_->Validate("gptq.grid", layer);
  }

  const Grid* grid() const override { return grid_.get(); }

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
    cost.rounded_weights = rounding.rounded_weights;
    const bool indexed = options_.act_order && !options_.static_groups &&
                         grid_->GroupSizeFor(layer.cols) != layer.cols;
    if (indexed) {
      cost.stored_bytes += static_cast<uint64_t>(layer.cols) * sizeof(int32_t);
    }
    const double rows = static_cast<double>(layer.rows);
    const double cols = static_cast<double>(layer.cols);
    const double square = cols * cols;
    // Made: the factor in float64 and float32. Then, beside the factor: the
    // working weights twice, or once with the grid and one block of errors.
    // Last, with H in float32: the decoded weight and two pieces of a product
    // with H.
    const double made = 12 * square;
    const double sweep =
        4 * square +
        std::max(8 * rows * cols,
                 4 * rows * cols + static_cast<double>(rounding.working_bytes) +
                     4 * rows * static_cast<double>(options_.column_block));
    const double check = 4 * square + static_cast<double>(cost.stored_bytes) +
                         4 * rows * cols + 8 * std::min(rows, 1024.0) * cols;
    cost.working_bytes = static_cast<uint64_t>(std::max({made, sweep, check}));
    cost.product_flops =
        5 * rows * square * rounding.passes + rounding.product_flops;
    cost.factor_flops_per_set = 2.0 / 3.0 * square * cols;
    return cost;
  }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    // What layers with the same inputs share.
    const LayerStatistics* shared = nullptr;
    GptqFactor<float> factor;
    for (LayerWork& item : work.layers) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      const LayerStatistics& statistics = *item.statistics;
      if (statistics.tokens == 0) {
        RETURN_IF_ERROR(RoundUnseen(*grid_, item, ctx));
        continue;
      }
      if (&statistics != shared) {
        // The old one goes before the new one comes.
        factor = {};
        ASSIGN_OR_RETURN(factor,
                         Annotate(FactorForGptq<float>(statistics.second_moment,
                                                       options_, ctx),
                                  "layer ", item.name));
        shared = &statistics;
      }
      RETURN_IF_ERROR(
          Annotate(ProcessLayer(item, factor, ctx), "layer ", item.name));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status ProcessLayer(LayerWork& item, const GptqFactor<float>& factor,
                            ExecutionContext& ctx) const {
    const Tensor& weight = item.weight;
    ASSIGN_OR_RETURN(const auto grid, NewLayerGridFor(*grid_, item));
    const std::vector<double> moment = Diagonal(item.statistics->second_moment);
    const std::vector<float> conditional = FactorDiagonal(factor);
    LayerView<float> view;
    view.rows = weight.rows();
    view.cols = weight.cols();
    view.weights = weight.data();
    view.moment_diagonal = moment;
    view.factor_diagonal = conditional;
    view.second_moment = &item.statistics->second_moment;
    if (item.importance.has_value()) view.importance = item.importance->data();
    RETURN_IF_ERROR(grid->Prepare(view, ctx));
    GptqResult result;
    bool again = true;
    while (again) {
      ASSIGN_OR_RETURN(
          result,
          QuantizeGptq<float>(weight.rows(), weight.cols(), weight.data(),
                              view.importance, factor, options_, *grid, ctx));
      ASSIGN_OR_RETURN(again, grid->Refine(view, ctx));
    }
    ASSIGN_OR_RETURN(item.compressed,
                     grid->Finish(std::move(result.group_index)));
    LayerReport& report = *item.report;
    report.damping = factor.damping;
    report.damping_retries = factor.retries;
    report.dead_inputs = static_cast<int64_t>(factor.dead_inputs.size());
    if (factor.retries > 0) {
      ctx.ReportWarning(absl::StrCat(
          item.name, ": H was not positive definite; damping raised to ",
          factor.damping));
    }
    if (report.dead_inputs > 0) {
      ctx.ReportNote(absl::StrCat(item.name, ": ", report.dead_inputs,
                                  " input channels never active"));
    }
    return absl::OkStatus();
  }

  const std::unique_ptr<const Grid> grid_;
  GptqOptions options_;
  const bool per_set_;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewGptqStage(const v1::GptqStage& options) {
  return std::make_unique<GptqStage>(options);
}

}  // namespace quantd
