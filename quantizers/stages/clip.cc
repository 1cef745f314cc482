#include "quantizers/stages/clip.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "quantizers/round_to_nearest.h"
#include "re2/re2.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

// --- Algorithm -------------------------------------------------------------

// Rows per piece; fixed, so the partition does not depend on the threads.
constexpr int64_t kPieceRows = 16;

// One value per row and group.
struct GroupTable {
  int64_t groups = 0;
  std::vector<double> values;

  double& at(int64_t row, int64_t group) {
    return values[static_cast<size_t>(row * groups + group)];
  }
  double at(int64_t row, int64_t group) const {
    return values[static_cast<size_t>(row * groups + group)];
  }
};

GroupTable LargestOf(const Tensor& w, int64_t group_size) {
  GroupTable largest{w.cols() / group_size, {}};
  for (int64_t r = 0; r < w.rows(); ++r) {
    for (int64_t g = 0; g < largest.groups; ++g) {
      const float* group = w.row(r) + g * group_size;
      float most = 0;
      for (int64_t c = 0; c < group_size; ++c) {
        most = std::max(most, std::abs(group[c]));
      }
      largest.values.push_back(double{most});
    }
  }
  return largest;
}

// Every group clamped to `share` of its range; `shares` one per group.
Tensor Clamped(const Tensor& w, int64_t group_size, const GroupTable& largest,
               const GroupTable& shares, ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(w.shape());
  const int64_t pieces = (w.rows() + kPieceRows - 1) / kPieceRows;
  ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
    const int64_t end = std::min((piece + 1) * kPieceRows, w.rows());
    for (int64_t r = piece * kPieceRows; r < end; ++r) {
      for (int64_t g = 0; g < largest.groups; ++g) {
        const float limit =
            static_cast<float>(shares.at(r, g) * largest.at(r, g));
        for (int64_t c = g * group_size; c < (g + 1) * group_size; ++c) {
          y.row(r)[c] = std::clamp(w.row(r)[c], -limit, limit);
        }
      }
    }
  });
  return y;
}

// d^T H_gg d of every row and group, d = w - q.
GroupTable ErrorsOf(const Tensor& w, const Tensor& q, const SquareMatrix& h,
                    int64_t group_size, ExecutionContext& ctx) {
  GroupTable errors{w.cols() / group_size, {}};
  errors.values.resize(static_cast<size_t>(w.rows() * errors.groups));
  Tensor block = Tensor::Uninitialized({group_size, group_size});
  Tensor d = Tensor::Uninitialized({w.rows(), group_size});
  for (int64_t g = 0; g < errors.groups; ++g) {
    const int64_t begin = g * group_size;
    for (int64_t i = 0; i < group_size; ++i) {
      for (int64_t j = 0; j < group_size; ++j) {
        block.row(i)[j] = static_cast<float>(h.at(begin + i, begin + j));
      }
    }
    for (int64_t r = 0; r < w.rows(); ++r) {
      for (int64_t c = 0; c < group_size; ++c) {
        d.row(r)[c] = w.row(r)[begin + c] - q.row(r)[begin + c];
      }
    }
    // H is symmetric.
    const Tensor product = ops::LinearProduct(d, block, ctx);
    for (int64_t r = 0; r < w.rows(); ++r) {
      double sum = 0;
      for (int64_t c = 0; c < group_size; ++c) {
        sum += double{d.row(r)[c]} * product.row(r)[c];
      }
      errors.at(r, g) = sum;
    }
  }
  return errors;
}

// --- Stage -----------------------------------------------------------------

class ClipStage final : public Stage {
 public:
  explicit ClipStage(const v1::ClipStage& options)
      : steps_(options.steps()),
        candidates_(std::max(
            1, static_cast<int>(options.max_shrink() * options.steps()))),
        skipped_(options.skip_pattern(), re2::RE2::Quiet) {}

  absl::string_view name() const override { return "clip"; }

  absl::Status Validate(const LinearShape& layer) const override {
    if (!skipped_.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "clip.skip_pattern: ", EscapeInvalidUtf8(skipped_.error())));
    }
    if (grid_ != nullptr) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("clip: the recipe's solver has no grid to round layer ",
                     layer.name, " to"));
  }

  StatisticsRequest Needs() const override {
    StatisticsRequest request;
    request.second_moment = true;
    return request;
  }

  void set_solver_grid(const Grid* grid) override { grid_ = grid; }

  StageCost Cost(const LinearShape& layer) const override {
    StageCost cost;
    if (Skips(layer.name)) return cost;
    const double weights =
        static_cast<double>(layer.rows) * static_cast<double>(layer.cols);
    const double size = static_cast<double>(grid_->GroupSizeFor(layer.cols));
    const GridCost rounding = grid_->Cost(layer);
    cost.held_bytes = static_cast<uint64_t>(4 * weights);
    // The clamped weight, what it decodes to, the errors; the group at work.
    cost.working_bytes =
        static_cast<uint64_t>(8 * weights + 24 * weights / size +
                              4 * size * size +
                              8 * size * static_cast<double>(layer.rows)) +
        rounding.working_bytes;
    cost.rounded_weights = candidates_ * rounding.rounded_weights;
    cost.product_flops = candidates_ * 2.0 * weights * size;
    return cost;
  }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    for (LayerWork& item : work.layers) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      if (Skips(item.name) || item.statistics->tokens == 0) continue;
      RETURN_IF_ERROR(Annotate(ClipLayer(item, ctx), "layer ", item.name));
    }
    return absl::OkStatus();
  }

 private:
  bool Skips(const std::string& layer) const {
    return re2::RE2::FullMatch(layer, skipped_);
  }

  absl::Status ClipLayer(LayerWork& item, ExecutionContext& ctx) const {
    const Tensor w = item.weight;
    const int64_t group_size = item.grid_plan.group_size > 0
                                   ? item.grid_plan.group_size
                                   : grid_->GroupSizeFor(w.cols());
    const GroupTable largest = LargestOf(w, group_size);
    GroupTable best = largest;
    std::fill(best.values.begin(), best.values.end(), 1.0);
    GroupTable least = best;
    std::fill(least.values.begin(), least.values.end(),
              std::numeric_limits<double>::infinity());
    GroupTable shares = best;
    LayerWork trial = item;
    for (int i = 0; i < candidates_; ++i) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      std::fill(shares.values.begin(), shares.values.end(),
                1.0 - static_cast<double>(i) / steps_);
      trial.weight = Clamped(w, group_size, largest, shares, ctx);
      RETURN_IF_ERROR(RoundToNearest(*grid_, {}, trial, ctx));
      const Tensor rounded = trial.compressed->Decode(ctx);
      const GroupTable errors =
          ErrorsOf(w, rounded, item.statistics->second_moment, group_size, ctx);
      for (size_t k = 0; k < errors.values.size(); ++k) {
        if (errors.values[k] < least.values[k]) {
          least.values[k] = errors.values[k];
          best.values[k] = shares.values[k];
        }
      }
    }
    item.weight = Clamped(w, group_size, largest, best, ctx);
    return absl::OkStatus();
  }

  const int steps_;
  const int candidates_;
  const re2::RE2 skipped_;
  const Grid* grid_ = nullptr;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewClipStage(const v1::ClipStage& options) {
  return std::make_unique<ClipStage>(options);
}

}  // namespace quantd
