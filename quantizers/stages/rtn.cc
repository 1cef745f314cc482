#include "quantizers/stages/rtn.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "models/layouts/packed_int.h"
#include "quantizers/affine_grid.h"
#include "quantizers/grid_validation.h"
#include "quantizers/layer_error.h"

namespace quantd {
namespace {

// --- Algorithm -------------------------------------------------------------

// Rows per piece; fixed, so the partition does not depend on the threads.
constexpr int64_t kPieceRows = 16;

PackedIntWeights RoundToNearest(const Tensor& weight,
                                const AffineGridOptions& options,
                                ExecutionContext& ctx) {
  PackedIntWeights out;
  out.rows = weight.rows();
  out.cols = weight.cols();
  out.bits = options.bits;
  out.group_size = options.GroupSizeFor(out.cols);
  out.symmetric = options.symmetric;
  const int64_t groups = out.groups();
  out.codes.resize(static_cast<size_t>(out.rows * out.cols));
  out.scales.resize(static_cast<size_t>(out.rows * groups));
  out.zeros.resize(out.scales.size());
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

// --- Stage -----------------------------------------------------------------

class RtnStage final : public Stage {
 public:
  explicit RtnStage(const v1::RtnStage& options)
      : grid_(GridOptionsFrom(options.grid())) {}

  absl::string_view name() const override { return "rtn"; }

  absl::Status Validate(const LinearShape& layer) const override {
    return ValidateGridFor(grid_, "rtn.grid", layer);
  }

  StatisticsRequest Needs() const override { return {}; }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    for (LayerWork& item : work.layers) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      Linear& layer = *item.layer;
      const Tensor original = layer.weight();
      ASSIGN_OR_RETURN(
          auto compressed,
          Annotate(NewPackedInt(RoundToNearest(original, grid_, ctx)), "layer ",
                   layer.name()));
      layer.SetCompressed(std::move(compressed), ctx);
      item.report->weight_error = RelativeWeightError(original, layer.weight());
    }
    return absl::OkStatus();
  }

 private:
  const AffineGridOptions grid_;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewRtnStage(const v1::RtnStage& options) {
  return std::make_unique<RtnStage>(options);
}

}  // namespace quantd
