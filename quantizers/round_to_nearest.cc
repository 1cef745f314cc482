#include "quantizers/round_to_nearest.h"

#include <algorithm>

namespace quantd {
namespace {

// Rows per piece; fixed, so the partition does not depend on the threads.
constexpr int64_t kPieceRows = 16;

}  // namespace

PackedIntWeights NewPackedIntWeights(int64_t rows, int64_t cols,
                                     const AffineGridOptions& options) {
  PackedIntWeights out;
  out.rows = rows;
  out.cols = cols;
  out.bits = options.bits;
  out.group_size = options.GroupSizeFor(cols);
  out.symmetric = options.symmetric;
  out.codes.resize(static_cast<size_t>(rows * cols));
  out.scales.resize(static_cast<size_t>(rows * out.groups()));
  out.zeros.resize(out.scales.size());
  return out;
}

StageCost RoundToNearestCost(const LinearShape& layer,
                             const AffineGridOptions& options) {
  const uint64_t weights = static_cast<uint64_t>(layer.rows * layer.cols);
  StageCost cost;
  cost.stored_bytes =
      PackedIntBytes(layer.rows, layer.cols, options.bits,
                     options.GroupSizeFor(layer.cols), options.symmetric);
  // The packed layer and the float32 weight that it decodes to.
  cost.working_bytes = cost.stored_bytes + weights * sizeof(float);
  // Every candidate of the shrink search looks at each weight once more.
  cost.rounded_weights =
      static_cast<double>(weights) *
      (options.shrink_search ? 1.0 + options.shrink_steps : 1.0);
  return cost;
}

PackedIntWeights RoundToNearest(const Tensor& weight,
                                const AffineGridOptions& options,
                                ExecutionContext& ctx) {
  PackedIntWeights out =
      NewPackedIntWeights(weight.rows(), weight.cols(), options);
  const int64_t groups = out.groups();
  const int64_t pieces = (out.rows + kPieceRows - 1) / kPieceRows;
  ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
    const int64_t end = std::min((piece + 1) * kPieceRows, out.rows);
    for (int64_t r = piece * kPieceRows; r < end; ++r) {
      for (int64_t g = 0; g < groups; ++g) {
        const float* w = weight.row(r) + g * out.group_size;
        const GroupGrid grid = FitGroupGrid<float>(
            {w, static_cast<size_t>(out.group_size)}, options);
        out.scales[static_cast<size_t>(r * groups + g)] = grid.scale;
        out.zeros[static_cast<size_t>(r * groups + g)] =
            static_cast<uint8_t>(grid.zero);
        uint8_t* codes = out.codes.data() + r * out.cols + g * out.group_size;
        for (int64_t c = 0; c < out.group_size; ++c) {
          codes[c] = static_cast<uint8_t>(
              EncodeWeight(w[c], grid, options.max_code()));
        }
      }
    }
  });
  return out;
}

}  // namespace quantd
