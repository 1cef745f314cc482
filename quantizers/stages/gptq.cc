#include "quantizers/stages/gptq.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "quantizers/column_sweep.h"
#include "quantizers/grid_validation.h"
#include "quantizers/layer_error.h"
#include "quantizers/round_to_nearest.h"

namespace quantd {
namespace {

// --- Algorithm -------------------------------------------------------------

// Quantizes columns in sweep order onto the affine grid and keeps codes and
// grids.
template <typename Real>
class AffineColumnQuantizer final : public ColumnQuantizer<Real> {
 public:
  // `order[j]` is the original column at sweep position j. With static groups
  // (`fixed` not null) the grid of a column is that of its original group;
  // otherwise groups are runs of group_size sweep positions, fitted when the
  // sweep reaches them.
  AffineColumnQuantizer(const AffineGridOptions& options,
                        const std::vector<int64_t>& order,
                        const std::vector<GroupGrid>* fixed,
                        PackedIntWeights* out)
      : options_(options), order_(order), fixed_(fixed), out_(*out) {}

  int64_t NeedsUpTo(int64_t column) const override {
    if (fixed_ != nullptr) return column + 1;
    return column / out_.group_size * out_.group_size + out_.group_size;
  }

  void QuantizeColumn(int64_t column, int64_t row_begin, int64_t row_end,
                      const WorkingWeights<Real>& weights,
                      Real* quantized) override {
    const int64_t groups = out_.groups();
    const int64_t original = order_[static_cast<size_t>(column)];
    const int64_t group = fixed_ != nullptr ? original / out_.group_size
                                            : column / out_.group_size;
    const bool starts_group =
        fixed_ == nullptr && column % out_.group_size == 0;
    for (int64_t r = row_begin; r < row_end; ++r) {
      const size_t index = static_cast<size_t>(r * groups + group);
      if (starts_group) {
        const GroupGrid grid = FitGroupGrid<Real>(
            {weights.row(r) + column, static_cast<size_t>(out_.group_size)},
            options_);
        out_.scales[index] = grid.scale;
        out_.zeros[index] = static_cast<uint8_t>(grid.zero);
      }
      const GroupGrid grid = {out_.scales[index], int{out_.zeros[index]}};
      const int code =
          EncodeWeight(weights.row(r)[column], grid, options_.max_code());
      out_.codes[static_cast<size_t>(r * out_.cols + original)] =
          static_cast<uint8_t>(code);
      quantized[r - row_begin] = DecodeWeight<Real>(code, grid);
    }
  }

 private:
  const AffineGridOptions& options_;
  const std::vector<int64_t>& order_;
  const std::vector<GroupGrid>* const fixed_;
  PackedIntWeights& out_;
};

// Sweep positions to original columns: by decreasing diagonal, ties in column
// order so that the result does not depend on the sort.
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

// Rows per piece; fixed, so the partition does not depend on the threads.
constexpr int64_t kPieceRows = 16;

}  // namespace

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
absl::StatusOr<GptqResult> QuantizeGptq(int64_t rows, int64_t cols,
                                        const Real* weight,
                                        const GptqFactor<Real>& factor,
                                        const GptqOptions& options,
                                        ExecutionContext& ctx) {
  GptqResult result;
  result.weights = NewPackedIntWeights(rows, cols, options.grid);
  PackedIntWeights& out = result.weights;
  const int64_t groups = out.groups();
  const bool fixed_groups = options.static_groups || groups == 1;
  std::vector<GroupGrid> fixed;
  if (fixed_groups) fixed.resize(static_cast<size_t>(rows * groups));

  // The weights in sweep order, and the grids that do not wait for the sweep.
  std::vector<Real> working(static_cast<size_t>(rows * cols));
  const int64_t pieces = (rows + kPieceRows - 1) / kPieceRows;
  ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
    const int64_t end = std::min((piece + 1) * kPieceRows, rows);
    std::vector<Real> row;
    for (int64_t r = piece * kPieceRows; r < end; ++r) {
      row.assign(weight + r * cols, weight + (r + 1) * cols);
      // No calibration token ever excited these: their weight cannot matter.
      for (int64_t c : factor.dead_inputs) row[static_cast<size_t>(c)] = 0;
      for (int64_t j = 0; j < cols; ++j) {
        working[static_cast<size_t>(r * cols + j)] =
            row[static_cast<size_t>(factor.order[static_cast<size_t>(j)])];
      }
      if (!fixed_groups) continue;
      for (int64_t g = 0; g < groups; ++g) {
        const size_t index = static_cast<size_t>(r * groups + g);
        fixed[index] = FitGroupGrid<Real>({row.data() + g * out.group_size,
                                           static_cast<size_t>(out.group_size)},
                                          options.grid);
        out.scales[index] = fixed[index].scale;
        out.zeros[index] = static_cast<uint8_t>(fixed[index].zero);
      }
    }
  });

  AffineColumnQuantizer<Real> quantizer(options.grid, factor.order,
                                        fixed_groups ? &fixed : nullptr, &out);
  ColumnSweepOptions sweep;
  sweep.column_block = options.column_block;
  ASSIGN_OR_RETURN(
      result.loss,
      SweepColumns<Real>(WorkingWeights<Real>{rows, cols, working.data()},
                         factor.upper, sweep, quantizer, ctx));
  if (!fixed_groups && options.act_order) {
    // Groups are runs of sweep positions: inference needs the way back.
    out.group_index.resize(static_cast<size_t>(cols));
    for (int64_t j = 0; j < cols; ++j) {
      out.group_index[static_cast<size_t>(
          factor.order[static_cast<size_t>(j)])] =
          static_cast<int32_t>(j / out.group_size);
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
template absl::StatusOr<GptqResult> QuantizeGptq<float>(
    int64_t, int64_t, const float*, const GptqFactor<float>&,
    const GptqOptions&, ExecutionContext&);
template absl::StatusOr<GptqResult> QuantizeGptq<double>(
    int64_t, int64_t, const double*, const GptqFactor<double>&,
    const GptqOptions&, ExecutionContext&);

// --- Stage -----------------------------------------------------------------

namespace {

class GptqStage final : public Stage {
 public:
  explicit GptqStage(const v1::GptqStage& options)
      : per_set_(options.true_sequential()) {
    options_.grid = GridOptionsFrom(options.grid());
    options_.act_order = options.act_order();
    options_.static_groups = options.static_groups();
    options_.damping = options.damping();
    options_.column_block = options.column_block();
  }

  absl::string_view name() const override { return "gptq"; }

  absl::Status Validate(const LinearShape& layer) const override {
    return ValidateGridFor(options_.grid, "gptq.grid", layer);
  }

  StatisticsRequest Needs() const override {
    StatisticsRequest request;
    request.second_moment = true;
    request.per_set = per_set_;
    return request;
  }

  StageCost Cost(const LinearShape& layer) const override {
    StageCost cost = RoundToNearestCost(layer, options_.grid);
    const bool indexed = options_.act_order && !options_.static_groups &&
                         options_.grid.GroupSizeFor(layer.cols) != layer.cols;
    if (indexed) {
      cost.stored_bytes += static_cast<uint64_t>(layer.cols) * sizeof(int32_t);
    }
    const double rows = static_cast<double>(layer.rows);
    const double cols = static_cast<double>(layer.cols);
    const double square = cols * cols;
    // Made: the factor in float64 and float32. Then, beside the factor and H
    // in float32: working weights, codes and one block of errors, or the
    // decoded weight and two pieces of a product with H.
    const double made = 12 * square;
    const double sweep =
        5 * rows * cols + 4 * rows * static_cast<double>(options_.column_block);
    const double check = 4 * rows * cols + 8 * std::min(rows, 1024.0) * cols;
    cost.working_bytes = static_cast<uint64_t>(
        std::max(made, 8 * square + std::max(sweep, check)));
    cost.product_flops = 5 * rows * square;
    cost.factor_flops_per_set = 2.0 / 3.0 * square * cols;
    return cost;
  }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    // What layers with the same inputs share.
    const LayerStatistics* shared = nullptr;
    GptqFactor<float> factor;
    Tensor h;
    for (LayerWork& item : work.layers) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      const LayerStatistics& statistics = *item.statistics;
      const std::string& name = item.layer->name();
      if (statistics.tokens == 0) {
        RETURN_IF_ERROR(Annotate(RoundUnseen(item, ctx), "layer ", name));
        continue;
      }
      if (&statistics != shared) {
        // The old ones go before the new ones come.
        factor = {};
        h = Tensor();
        ASSIGN_OR_RETURN(factor,
                         Annotate(FactorForGptq<float>(statistics.second_moment,
                                                       options_, ctx),
                                  "layer ", name));
        h = ToFloat(statistics.second_moment);
        shared = &statistics;
      }
      RETURN_IF_ERROR(
          Annotate(ProcessLayer(item, factor, h, ctx), "layer ", name));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status ProcessLayer(LayerWork& item, const GptqFactor<float>& factor,
                            const Tensor& h, ExecutionContext& ctx) const {
    Linear& layer = *item.layer;
    const Tensor original = layer.weight();
    ASSIGN_OR_RETURN(
        GptqResult result,
        QuantizeGptq<float>(original.rows(), original.cols(), original.data(),
                            factor, options_, ctx));
    ASSIGN_OR_RETURN(auto compressed, NewPackedInt(std::move(result.weights)));
    layer.SetCompressed(std::move(compressed), ctx);
    LayerReport& report = *item.report;
    report.damping = factor.damping;
    report.damping_retries = factor.retries;
    report.dead_inputs = static_cast<int64_t>(factor.dead_inputs.size());
    report.weight_error = RelativeWeightError(original, layer.weight());
    report.output_error = RelativeOutputError(original, layer.weight(), h, ctx);
    if (factor.retries > 0) {
      ctx.ReportWarning(absl::StrCat(
          layer.name(), ": H was not positive definite; damping raised to ",
          factor.damping));
    }
    if (report.dead_inputs > 0) {
      ctx.ReportNote(absl::StrCat(layer.name(), ": ", report.dead_inputs,
                                  " input channels never active"));
    }
    return absl::OkStatus();
  }

  // An expert that no calibration token was routed to. Its weights matter to
  // other texts, so they are kept as well as the grid allows.
  absl::Status RoundUnseen(LayerWork& item, ExecutionContext& ctx) const {
    Linear& layer = *item.layer;
    const Tensor original = layer.weight();
    ASSIGN_OR_RETURN(auto compressed, NewPackedInt(RoundToNearest(
                                          original, options_.grid, ctx)));
    layer.SetCompressed(std::move(compressed), ctx);
    item.report->weight_error = RelativeWeightError(original, layer.weight());
    ctx.ReportNote(absl::StrCat(
        layer.name(), ": no calibration token reached it; rounded to nearest"));
    return absl::OkStatus();
  }

  GptqOptions options_;
  const bool per_set_;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewGptqStage(const v1::GptqStage& options) {
  return std::make_unique<GptqStage>(options);
}

}  // namespace quantd
