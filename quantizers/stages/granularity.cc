#include "quantizers/stages/granularity.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/status_macros.h"

namespace quantd {
namespace {

// --- Algorithm -------------------------------------------------------------

// The ratios of one row.
struct Shrinkage {
  double least = 1.0;
  double sum = 0;
  int64_t count = 0;
};

// max|w| of every group of `size` channels, outliers left out.
std::vector<float> RangesOf(const Tensor& weight, int64_t row,
                            const OutlierMask* outliers, int64_t size) {
  std::vector<float> row_values(weight.row(row),
                                weight.row(row) + weight.cols());
  if (outliers != nullptr) {
    const size_t r = static_cast<size_t>(row);
    for (int32_t i = outliers->row_starts[r]; i < outliers->row_starts[r + 1];
         ++i) {
      const int32_t column = outliers->columns[static_cast<size_t>(i)];
      row_values[static_cast<size_t>(column)] = 0;
    }
  }
  std::vector<float> ranges(static_cast<size_t>(weight.cols() / size));
  for (size_t c = 0; c < row_values.size(); ++c) {
    float& range = ranges[c / static_cast<size_t>(size)];
    range = std::max(range, std::abs(row_values[c]));
  }
  return ranges;
}

Shrinkage ShrinkageOf(const std::vector<float>& halves) {
  Shrinkage result;
  for (size_t i = 0; i + 1 < halves.size(); i += 2) {
    const float whole = std::max(halves[i], halves[i + 1]);
    if (whole == 0) continue;
    for (const float half : {halves[i], halves[i + 1]}) {
      const double ratio = static_cast<double>(half) / whole;
      result.least = std::min(result.least, ratio);
      result.sum += ratio;
      ++result.count;
    }
  }
  return result;
}

}  // namespace

int64_t ChooseGroupSize(const Tensor& weight, const OutlierMask* outliers,
                        const GranularityOptions& options,
                        ExecutionContext& ctx) {
  int64_t size = weight.cols();
  while (size % 2 == 0 && size / 2 >= options.min_group_size) {
    std::vector<Shrinkage> rows(static_cast<size_t>(weight.rows()));
    ctx.device().pool().ParallelFor(weight.rows(), [&](int64_t r) {
      rows[static_cast<size_t>(r)] =
          ShrinkageOf(RangesOf(weight, r, outliers, size / 2));
    });
    Shrinkage total;
    for (const Shrinkage& row : rows) {
      total.least = std::min(total.least, row.least);
      total.sum += row.sum;
      total.count += row.count;
    }
    const double rho = options.criterion == v1::GranularityStage::MEAN
                           ? total.sum / static_cast<double>(total.count)
                           : total.least;
    // Not a number in a matrix of zeros.
    if (!(rho < options.threshold)) break;
    size /= 2;
  }
  return size;
}

// --- Stage -----------------------------------------------------------------

namespace {

class GranularityStage final : public Stage {
 public:
  explicit GranularityStage(const v1::GranularityStage& options) {
    options_.threshold = options.threshold();
    options_.criterion = options.criterion();
    options_.min_group_size = options.min_group_size();
  }

  absl::string_view name() const override { return "granularity"; }

  absl::Status Validate(const LinearShape&) const override {
    return absl::OkStatus();
  }

  StatisticsRequest Needs() const override { return {}; }

  StageCost Cost(const LinearShape& layer) const override {
    int64_t finest = layer.cols;
    while (finest % 2 == 0 && finest / 2 >= options_.min_group_size) {
      finest /= 2;
    }
    StageCost cost;
    // The group size is known when the weights are: at most this is added, a
    // scale and a zero point per group.
    cost.added_bytes =
        static_cast<uint64_t>(3 * layer.rows * (layer.cols / finest));
    cost.working_bytes = static_cast<uint64_t>(
        layer.rows * static_cast<int64_t>(sizeof(Shrinkage)) +
        8 * layer.cols * static_cast<int64_t>(sizeof(float)));
    cost.rounded_weights = static_cast<double>(layer.rows * layer.cols);
    return cost;
  }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    for (LayerWork& item : work.layers) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      item.grid_plan.group_size =
          ChooseGroupSize(item.weight, item.outliers.get(), options_, ctx);
    }
    return absl::OkStatus();
  }

 private:
  GranularityOptions options_;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewGranularityStage(
    const v1::GranularityStage& options) {
  return std::make_unique<GranularityStage>(options);
}

}  // namespace quantd
