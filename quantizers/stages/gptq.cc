#include "quantizers/stages/gptq.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "quantizers/column_sweep.h"
#include "quantizers/grid_validation.h"
#include "quantizers/layer_error.h"

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
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return h.at(a, a) > h.at(b, b);
    });
  }
  return order;
}

// Columns no calibration token ever excited: their weight cannot matter, and
// a zero diagonal cannot be inverted.
template <typename Real>
int64_t RemoveDeadInputs(SquareMatrix* h, int64_t rows,
                         std::vector<Real>* weight) {
  int64_t dead = 0;
  for (int64_t c = 0; c < h->n; ++c) {
    if (h->at(c, c) != 0) continue;
    ++dead;
    h->at(c, c) = 1;
    for (int64_t r = 0; r < rows; ++r) {
      (*weight)[static_cast<size_t>(r * h->n + c)] = 0;
    }
  }
  return dead;
}

}  // namespace

template <typename Real>
absl::StatusOr<GptqResult> QuantizeGptq(int64_t rows, int64_t cols,
                                        const Real* weight,
                                        const SquareMatrix& second_moment,
                                        const GptqOptions& options,
                                        ExecutionContext& ctx) {
  GptqResult result;
  PackedIntWeights& out = result.weights;
  out.rows = rows;
  out.cols = cols;
  out.bits = options.grid.bits;
  out.group_size = options.grid.GroupSizeFor(cols);
  out.symmetric = options.grid.symmetric;
  const int64_t groups = out.groups();
  out.codes.resize(static_cast<size_t>(rows * cols));
  out.scales.resize(static_cast<size_t>(rows * groups));
  out.zeros.resize(out.scales.size());

  SquareMatrix h = second_moment;
  std::vector<Real> original(weight, weight + rows * cols);
  result.dead_inputs = RemoveDeadInputs(&h, rows, &original);

  const bool fixed_groups = options.static_groups || groups == 1;
  std::vector<GroupGrid> fixed;
  if (fixed_groups) {
    fixed.resize(static_cast<size_t>(rows * groups));
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t g = 0; g < groups; ++g) {
        const size_t index = static_cast<size_t>(r * groups + g);
        fixed[index] =
            FitGroupGrid<Real>({original.data() + r * cols + g * out.group_size,
                                static_cast<size_t>(out.group_size)},
                               options.grid);
        out.scales[index] = fixed[index].scale;
        out.zeros[index] = static_cast<uint8_t>(fixed[index].zero);
      }
    }
  }

  const std::vector<int64_t> order = SweepOrder(h, options.act_order);
  SquareMatrix permuted(cols);
  for (int64_t i = 0; i < cols; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      permuted.at(i, j) =
          h.at(order[static_cast<size_t>(i)], order[static_cast<size_t>(j)]);
    }
  }
  RETURN_IF_ERROR(ctx.CheckCancelled());
  ASSIGN_OR_RETURN(const InverseFactor factor,
                   FactorDampedInverse(permuted, options.damping));
  result.damping = factor.damping;
  result.damping_retries = factor.retries;

  std::vector<Real> working(original.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < cols; ++j) {
      working[static_cast<size_t>(r * cols + j)] = original[static_cast<size_t>(
          r * cols + order[static_cast<size_t>(j)])];
    }
  }
  AffineColumnQuantizer<Real> quantizer(options.grid, order,
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
      out.group_index[static_cast<size_t>(order[static_cast<size_t>(j)])] =
          static_cast<int32_t>(j / out.group_size);
    }
  }
  return result;
}

template absl::StatusOr<GptqResult> QuantizeGptq<float>(int64_t, int64_t,
                                                        const float*,
                                                        const SquareMatrix&,
                                                        const GptqOptions&,
                                                        ExecutionContext&);
template absl::StatusOr<GptqResult> QuantizeGptq<double>(int64_t, int64_t,
                                                         const double*,
                                                         const SquareMatrix&,
                                                         const GptqOptions&,
                                                         ExecutionContext&);

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

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    for (LayerWork& item : work.layers) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      RETURN_IF_ERROR(
          Annotate(ProcessLayer(item, ctx), "layer ", item.layer->name()));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status ProcessLayer(LayerWork& item, ExecutionContext& ctx) const {
    Linear& layer = *item.layer;
    const Tensor original = layer.weight();
    const SquareMatrix& h = item.statistics->second_moment;
    ASSIGN_OR_RETURN(GptqResult result,
                     QuantizeGptq<float>(original.rows(), original.cols(),
                                         original.data(), h, options_, ctx));
    ASSIGN_OR_RETURN(auto compressed, NewPackedInt(result.weights));
    layer.SetCompressed(std::move(compressed), ctx);
    LayerReport& report = *item.report;
    report.damping = result.damping;
    report.damping_retries = result.damping_retries;
    report.dead_inputs = result.dead_inputs;
    report.weight_error = RelativeWeightError(original, layer.weight());
    report.output_error = RelativeOutputError(original, layer.weight(), h, ctx);
    if (result.damping_retries > 0) {
      ctx.ReportWarning(absl::StrCat(
          layer.name(), ": H was not positive definite; damping raised to ",
          result.damping));
    }
    if (result.dead_inputs > 0) {
      ctx.ReportNote(absl::StrCat(layer.name(), ": ", result.dead_inputs,
                                  " input channels never active"));
    }
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
