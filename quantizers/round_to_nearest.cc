#include "quantizers/round_to_nearest.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

// Rows per piece; fixed, so the partition does not depend on the threads.
constexpr int64_t kPieceRows = 16;

int64_t Pieces(int64_t rows) { return (rows + kPieceRows - 1) / kPieceRows; }

}  // namespace

absl::StatusOr<std::unique_ptr<LayerGrid<float>>> NewLayerGridFor(
    const Grid& grid, const LayerWork& item) {
  ASSIGN_OR_RETURN(auto layer,
                   grid.NewLayerGrid(item.weight.rows(), item.weight.cols(),
                                     item.grid_plan));
  if (item.outliers == nullptr) return layer;
  return NewOutlierGrid<float>(std::move(layer), *item.outliers);
}

template <typename Real>
void FitAllGroups(int64_t rows, int64_t cols, const Real* weight,
                  const float* importance, LayerGrid<Real>& grid,
                  ExecutionContext& ctx) {
  const int64_t size = grid.group_size();
  std::vector<int64_t> columns(static_cast<size_t>(cols));
  std::iota(columns.begin(), columns.end(), 0);
  ctx.device().pool().ParallelFor(Pieces(rows), [&](int64_t piece) {
    const int64_t end = std::min((piece + 1) * kPieceRows, rows);
    std::vector<Real> counts;
    for (int64_t r = piece * kPieceRows; r < end; ++r) {
      for (int64_t g = 0; g * size < cols; ++g) {
        const size_t begin = static_cast<size_t>(g * size);
        GroupValues<Real> group;
        group.row = r;
        group.group = g;
        group.values = {weight + r * cols + begin, static_cast<size_t>(size)};
        group.columns =
            absl::MakeConstSpan(columns).subspan(begin, group.values.size());
        if (importance != nullptr) {
          const float* row = importance + r * cols + begin;
          counts.assign(row, row + size);
          group.importance = counts;
        }
        grid.FitGroup(group);
      }
    }
  });
}

absl::Status RoundToNearest(const Grid& grid,
                            absl::Span<const float> factor_diagonal,
                            LayerWork& item, ExecutionContext& ctx) {
  const Tensor& weight = item.weight;
  const int64_t rows = weight.rows();
  const int64_t cols = weight.cols();
  ASSIGN_OR_RETURN(const std::unique_ptr<LayerGrid<float>> layer,
                   NewLayerGridFor(grid, item));
  LayerView<float> view;
  view.rows = rows;
  view.cols = cols;
  view.weights = weight.data();
  std::vector<double> diagonal;
  if (item.statistics != nullptr) {
    diagonal = Diagonal(item.statistics->second_moment);
    view.moment_diagonal = diagonal;
    if (!diagonal.empty()) {
      view.second_moment = &item.statistics->second_moment;
    }
  }
  view.factor_diagonal = factor_diagonal;
  if (item.importance.has_value()) view.importance = item.importance->data();
  RETURN_IF_ERROR(layer->Prepare(view, ctx));
  FitAllGroups(rows, cols, weight.data(), view.importance, *layer, ctx);
  const int64_t size = layer->group_size();
  const int64_t alignment = layer->row_alignment();
  const int64_t piece_rows =
      (kPieceRows + alignment - 1) / alignment * alignment;
  const int64_t pieces = (rows + piece_rows - 1) / piece_rows;
  bool again = true;
  while (again) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
      Patch<float> patch;
      patch.row_begin = piece * piece_rows;
      patch.row_end = std::min(patch.row_begin + piece_rows, rows);
      patch.columns = size;
      patch.value_stride = cols;
      for (int64_t g = 0; g * size < cols; ++g) {
        patch.group = g;
        patch.column = g * size;
        patch.values = weight.row(patch.row_begin) + patch.column;
        layer->Quantize(patch);
      }
    });
    ASSIGN_OR_RETURN(again, layer->Refine(view, ctx));
  }
  ASSIGN_OR_RETURN(item.compressed, layer->Finish({}));
  return absl::OkStatus();
}

absl::Status RoundUnseen(const Grid& grid, LayerWork& item,
                         ExecutionContext& ctx) {
  RETURN_IF_ERROR(
      Annotate(RoundToNearest(grid, {}, item, ctx), "layer ", item.name));
  ctx.ReportNote(absl::StrCat(
      item.name, ": no calibration token reached it; rounded to nearest"));
  return absl::OkStatus();
}

absl::StatusOr<double> SquaredRoundingError(const Grid& grid,
                                            const GridPlan& plan,
                                            const Tensor& weight,
                                            ExecutionContext& ctx) {
  const int64_t rows = weight.rows();
  const int64_t cols = weight.cols();
  ASSIGN_OR_RETURN(const std::unique_ptr<LayerGrid<float>> layer,
                   grid.NewLayerGrid(rows, cols, plan));
  LayerView<float> view;
  view.rows = rows;
  view.cols = cols;
  view.weights = weight.data();
  RETURN_IF_ERROR(layer->Prepare(view, ctx));
  FitAllGroups<float>(rows, cols, weight.data(), nullptr, *layer, ctx);
  const int64_t size = layer->group_size();
  std::vector<double> errors(static_cast<size_t>(rows));
  ctx.device().pool().ParallelFor(rows, [&](int64_t r) {
    std::vector<float> quantized(static_cast<size_t>(size));
    Patch<float> patch;
    patch.row_begin = r;
    patch.row_end = r + 1;
    patch.columns = size;
    patch.quantized = quantized.data();
    double error = 0;
    for (int64_t g = 0; g * size < cols; ++g) {
      patch.group = g;
      patch.column = g * size;
      patch.values = weight.row(r) + patch.column;
      layer->Quantize(patch);
      for (int64_t c = 0; c < size; ++c) {
        const double difference =
            static_cast<double>(quantized[static_cast<size_t>(c)]) -
            patch.values[c];
        error += difference * difference;
      }
    }
    errors[static_cast<size_t>(r)] = error;
  });
  return std::accumulate(errors.begin(), errors.end(), 0.0);
}

StageCost RoundToNearestCost(const LinearShape& layer, const Grid& grid) {
  const GridCost rounding = grid.Cost(layer);
  StageCost cost;
  cost.stored_bytes = rounding.stored_bytes;
  // The grid at work and, when it is done, the float32 weight that the layer
  // decodes to.
  cost.working_bytes = std::max(
      rounding.working_bytes,
      rounding.stored_bytes +
          static_cast<uint64_t>(layer.rows * layer.cols) * sizeof(float));
  cost.rounded_weights = rounding.rounded_weights;
  cost.product_flops = rounding.product_flops;
  return cost;
}

template void FitAllGroups<float>(int64_t, int64_t, const float*, const float*,
                                  LayerGrid<float>&, ExecutionContext&);
template void FitAllGroups<double>(int64_t, int64_t, const double*,
                                   const float*, LayerGrid<double>&,
                                   ExecutionContext&);

}  // namespace quantd
