#include "quantizers/stages/row_bits.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/layouts/mixed_int.h"
#include "models/layouts/packed_int.h"
#include "proto/field_rules.h"
#include "quantizers/affine_grid.h"
#include "quantizers/grid_validation.h"

namespace quantd {

// --- Algorithm -------------------------------------------------------------

std::vector<double> RowImportance(const Tensor& weight, const Tensor& slopes) {
  std::vector<double> importance(static_cast<size_t>(weight.rows()), 0.0);
  for (int64_t r = 0; r < weight.rows(); ++r) {
    for (int64_t c = 0; c < weight.cols(); ++c) {
      importance[static_cast<size_t>(r)] +=
          std::abs(double{weight.row(r)[c]}) * double{slopes.row(r)[c]};
    }
  }
  return importance;
}

std::vector<uint8_t> WidthsByImportance(const std::vector<double>& importance,
                                        double wide_share, int bits,
                                        int wide_bits) {
  std::vector<size_t> order(importance.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return importance[a] > importance[b];
  });
  std::vector<uint8_t> widths(importance.size(), static_cast<uint8_t>(bits));
  const size_t wide = static_cast<size_t>(
      std::lround(wide_share * static_cast<double>(importance.size())));
  for (size_t i = 0; i < std::min(wide, order.size()); ++i) {
    widths[order[i]] = static_cast<uint8_t>(wide_bits);
  }
  return widths;
}

// --- Stage -----------------------------------------------------------------

namespace {

class RowBitsStage final : public Stage {
 public:
  explicit RowBitsStage(const v1::RowBitsStage& options)
      : grid_(GridOptionsFrom(options.grid())),
        wide_share_(options.wide_share()),
        wide_bits_(static_cast<int>(options.wide_bits())) {}

  absl::string_view name() const override { return "row_bits"; }

  absl::Status Validate(const LinearShape& layer) const override {
    if (wide_bits_ < grid_.bits) {
      return InvalidField("row_bits.wide_bits",
                          absl::StrCat(wide_bits_, " are fewer than the ",
                                       grid_.bits, " of the other channels"));
    }
    return ValidateGridFor(grid_, "row_bits.grid", layer);
  }

  StatisticsRequest Needs() const override { return {}; }

  StageCost Cost(const LinearShape& layer) const override {
    const int64_t group_size = grid_.GroupSizeFor(layer.cols);
    // Which rows are wide does not change what is stored.
    const std::vector<uint8_t> widths = WidthsByImportance(
        std::vector<double>(static_cast<size_t>(layer.rows), 0.0), wide_share_,
        grid_.bits, wide_bits_);
    const auto [least, most] =
        std::minmax_element(widths.begin(), widths.end());
    const auto packed = [&](int bits) {
      return PackedIntBytes(layer.rows, layer.cols, bits, group_size,
                            grid_.symmetric);
    };
    const uint64_t stored =
        *least == *most
            ? packed(*least)
            : MixedIntBytes(layer.rows, layer.cols, group_size, grid_.symmetric,
                            PerGroup(widths, layer.cols / group_size));
    StageCost cost;
    cost.added_bytes = stored - packed(grid_.bits);
    return cost;
  }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    for (LayerWork& item : work.layers) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      if (item.sensitivity.size() == 0) {
        return InvalidField("row_bits",
                            "needs the stage sensitivity before it");
      }
      const int64_t group_size = grid_.GroupSizeFor(item.weight.cols());
      item.grid_plan.group_size = group_size;
      item.grid_plan.group_bits = PerGroup(
          WidthsByImportance(RowImportance(item.weight, item.sensitivity),
                             wide_share_, grid_.bits, wide_bits_),
          item.weight.cols() / group_size);
    }
    return absl::OkStatus();
  }

 private:
  // [rows, groups]
  static std::vector<uint8_t> PerGroup(const std::vector<uint8_t>& widths,
                                       int64_t groups) {
    std::vector<uint8_t> result;
    for (uint8_t width : widths) {
      result.insert(result.end(), static_cast<size_t>(groups), width);
    }
    return result;
  }

  const AffineGridOptions grid_;
  const double wide_share_;
  const int wide_bits_;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewRowBitsStage(const v1::RowBitsStage& options) {
  return std::make_unique<RowBitsStage>(options);
}

}  // namespace quantd
