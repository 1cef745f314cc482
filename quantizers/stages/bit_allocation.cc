#include "quantizers/stages/bit_allocation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "quantizers/affine_grid.h"
#include "quantizers/binary_grid.h"
#include "quantizers/grid_validation.h"
#include "quantizers/second_moment.h"

namespace quantd {
namespace {

// --- Algorithm -------------------------------------------------------------

// Rows per piece; fixed, so the partition does not depend on the threads.
constexpr int64_t kPieceRows = 16;

int64_t Pieces(int64_t rows) { return (rows + kPieceRows - 1) / kPieceRows; }

// softmax(x), values below 1e-6 raised to it, scaled to a sum of 1.
void RaisedSoftmax(const float* x, std::vector<double>* p) {
  constexpr double kLeast = 1e-6;
  const double top = *std::max_element(x, x + p->size());
  double sum = 0;
  for (size_t i = 0; i < p->size(); ++i) {
    (*p)[i] = std::exp(static_cast<double>(x[i]) - top);
    sum += (*p)[i];
  }
  double raised = 0;
  for (double& value : *p) {
    value = std::max(value / sum, kLeast);
    raised += value;
  }
  for (double& value : *p) value /= raised;
}

// Rounds the weights of a group of every row to nearest on `options`.
void RoundGroup(const Tensor& weight, int64_t group,
                const AffineGridOptions& options, ExecutionContext& ctx,
                float* out, int64_t out_stride) {
  const int64_t group_size = options.GroupSizeFor(weight.cols());
  const size_t size = static_cast<size_t>(group_size);
  ctx.device().pool().ParallelFor(Pieces(weight.rows()), [&](int64_t piece) {
    const int64_t end = std::min((piece + 1) * kPieceRows, weight.rows());
    for (int64_t r = piece * kPieceRows; r < end; ++r) {
      const absl::Span<const float> w(weight.row(r) + group * group_size, size);
      float* row = out + r * out_stride;
      if (options.bits == 1) {
        const BinaryGrid grid = FitBinaryGrid<float>(
            w, {},
            options.symmetric ? BinaryCenter::kZero : BinaryCenter::kMean);
        for (size_t c = 0; c < size; ++c) {
          row[c] = DecodeBinary<float>(EncodeBinary(w[c], grid), grid);
        }
      } else {
        const GroupGrid grid = FitGroupGrid<float>(w, options);
        for (size_t c = 0; c < size; ++c) {
          row[c] = DecodeWeight<float>(
              EncodeWeight(w[c], grid, options.max_code()), grid);
        }
      }
    }
  });
}

// outputs [n, rows] += inputs[:, first .. first + cols) weight^T. In float32
// whatever the context prefers: small differences are what is looked for.
void AddProduct(const Tensor& inputs, int64_t first, const Tensor& weight,
                float beta, Tensor* outputs, ExecutionContext& ctx) {
  GemmArgs args;
  args.transpose_b = Transpose::kYes;
  args.m = inputs.rows();
  args.n = weight.rows();
  args.k = weight.cols();
  args.a = inputs.data() + first;
  args.lda = inputs.cols();
  args.b = weight.data();
  args.ldb = weight.cols();
  args.beta = beta;
  args.c = outputs->data();
  args.ldc = outputs->cols();
  ctx.device().Gemm(args);
}

// Groups by increasing salience, ties in group order.
std::vector<size_t> BySalience(absl::Span<const double> salience) {
  std::vector<size_t> order(salience.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return salience[a] < salience[b];
  });
  return order;
}

}  // namespace

std::vector<double> GroupSalience(const Tensor& weight,
                                  absl::Span<const double> factor_diagonal,
                                  int64_t group_size, ExecutionContext& ctx) {
  const int64_t groups = weight.cols() / group_size;
  std::vector<double> salience(static_cast<size_t>(groups), 0.0);
  ctx.device().pool().ParallelFor(groups, [&](int64_t g) {
    double sum = 0;
    for (int64_t r = 0; r < weight.rows(); ++r) {
      const float* row = weight.row(r);
      for (int64_t c = g * group_size; c < (g + 1) * group_size; ++c) {
        const double scaled = static_cast<double>(row[c]) /
                              factor_diagonal[static_cast<size_t>(c)];
        sum += scaled * scaled;
      }
    }
    salience[static_cast<size_t>(g)] = sum;
  });
  return salience;
}

std::vector<uint8_t> WidthsBySalience(absl::Span<const double> salience,
                                      int bits, int64_t pairs) {
  const std::vector<size_t> order = BySalience(salience);
  std::vector<uint8_t> widths(order.size(), static_cast<uint8_t>(bits));
  for (size_t i = 0; i < static_cast<size_t>(pairs); ++i) {
    widths[order[i]] = static_cast<uint8_t>(bits - 1);
    widths[order[order.size() - 1 - i]] = static_cast<uint8_t>(bits + 1);
  }
  return widths;
}

double SoftmaxDivergence(const Tensor& approximate, const Tensor& exact,
                         ExecutionContext& ctx) {
  const int64_t rows = exact.rows();
  std::vector<double> divergence(static_cast<size_t>(rows), 0.0);
  ctx.device().pool().ParallelFor(Pieces(rows), [&](int64_t piece) {
    const int64_t end = std::min((piece + 1) * kPieceRows, rows);
    std::vector<double> p(static_cast<size_t>(exact.cols()));
    std::vector<double> q(p.size());
    for (int64_t r = piece * kPieceRows; r < end; ++r) {
      RaisedSoftmax(approximate.row(r), &p);
      RaisedSoftmax(exact.row(r), &q);
      double sum = 0;
      for (size_t i = 0; i < p.size(); ++i) sum += p[i] * std::log(p[i] / q[i]);
      divergence[static_cast<size_t>(r)] = sum;
    }
  });
  return std::accumulate(divergence.begin(), divergence.end(), 0.0) /
         static_cast<double>(std::max<int64_t>(rows, 1));
}

absl::StatusOr<BitAllocation> AllocateBits(const Tensor& weight,
                                           const Tensor& inputs,
                                           absl::Span<const double> salience,
                                           const AffineGridOptions& grid,
                                           ExecutionContext& ctx) {
  const int bits = grid.bits;
  const int64_t group_size = grid.GroupSizeFor(weight.cols());
  const int64_t groups = static_cast<int64_t>(salience.size());
  // Codes have at most 8 bits.
  const int64_t most_pairs =
      bits < 8 ? std::max<int64_t>(0, groups / 2 - 1) : 0;
  const std::vector<size_t> order = BySalience(salience);

  Tensor uniform = Tensor::Uninitialized(weight.shape());
  for (int64_t g = 0; g < groups; ++g) {
    RoundGroup(weight, g, grid, ctx, uniform.data() + g * group_size,
               weight.cols());
  }
  Tensor exact = Tensor::Uninitialized({inputs.rows(), weight.rows()});
  Tensor outputs = Tensor::Uninitialized(exact.shape());
  AddProduct(inputs, 0, weight, 0.0f, &exact, ctx);
  AddProduct(inputs, 0, uniform, 0.0f, &outputs, ctx);

  BitAllocation best;
  best.divergence.push_back(SoftmaxDivergence(outputs, exact, ctx));
  // From p - 1 to p two groups change; the outputs move by their share.
  Tensor change = Tensor::Uninitialized({weight.rows(), group_size});
  for (int64_t p = 1; p <= most_pairs; ++p) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    const std::pair<size_t, int> changed[] = {
        {order[static_cast<size_t>(p - 1)], bits - 1},
        {order[static_cast<size_t>(groups - p)], bits + 1}};
    for (const auto& [group, width] : changed) {
      const int64_t first = static_cast<int64_t>(group) * group_size;
      AffineGridOptions other = grid;
      other.bits = width;
      RoundGroup(weight, static_cast<int64_t>(group), other, ctx, change.data(),
                 group_size);
      for (int64_t r = 0; r < weight.rows(); ++r) {
        for (int64_t c = 0; c < group_size; ++c) {
          change.row(r)[c] -= uniform.row(r)[first + c];
        }
      }
      AddProduct(inputs, first, change, 1.0f, &outputs, ctx);
    }
    best.divergence.push_back(SoftmaxDivergence(outputs, exact, ctx));
  }
  best.pairs =
      std::min_element(best.divergence.begin(), best.divergence.end()) -
      best.divergence.begin();
  best.group_bits = WidthsBySalience(salience, bits, best.pairs);
  return best;
}

// --- Stage -----------------------------------------------------------------

namespace {

class BitAllocationStage final : public Stage {
 public:
  explicit BitAllocationStage(const v1::BitAllocationStage& options)
      : grid_(GridOptionsFrom(options.grid())),
        damping_(options.salience_damping()),
        sample_rows_(options.sample_rows()) {}

  absl::string_view name() const override { return "bit_allocation"; }

  absl::Status Validate(const LinearShape& layer) const override {
    return ValidateGridFor(grid_, absl::StrCat(name(), ".grid"), layer);
  }

  StatisticsRequest Needs() const override {
    StatisticsRequest request;
    request.second_moment = true;
    request.sample_rows = sample_rows_;
    return request;
  }

  StageCost Cost(const LinearShape& layer) const override {
    const double rows = static_cast<double>(layer.rows);
    const double cols = static_cast<double>(layer.cols);
    const double samples = static_cast<double>(sample_rows_);
    const int64_t group_size = grid_.GroupSizeFor(layer.cols);
    const int64_t groups = layer.cols / group_size;
    StageCost cost;
    // The widths, and what 1-bit groups take more than others: a mean of 16
    // bits in place of a zero point. At most this; groups that end up alike
    // store none of it.
    if (groups > 3) {
      cost.added_bytes = static_cast<uint64_t>((3 * groups + 7) / 8);
      if (grid_.bits == 2) {
        cost.added_bytes +=
            static_cast<uint64_t>(2 * layer.rows * (groups / 2 - 1));
      }
    }
    // The factor in float64, or the weight rounded, one group's change and
    // the outputs of both weights.
    cost.working_bytes = static_cast<uint64_t>(std::max(
        8 * cols * cols,
        4 * rows * (cols + static_cast<double>(group_size) + 2 * samples)));
    cost.product_flops = 6 * samples * rows * cols;
    cost.factor_flops_per_set = 2.0 / 3.0 * cols * cols * cols;
    cost.rounded_weights = 2 * rows * cols;
    return cost;
  }

  absl::Status ProcessBlock(BlockWork& work, ExecutionContext& ctx) override {
    // What layers with the same inputs share.
    const LayerStatistics* shared = nullptr;
    std::vector<double> diagonal;
    for (LayerWork& item : work.layers) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      const LayerStatistics& statistics = *item.statistics;
      const int64_t group_size = grid_.GroupSizeFor(item.weight.cols());
      item.grid_plan.group_size = group_size;
      item.grid_plan.group_bits.assign(
          static_cast<size_t>(item.weight.cols() / group_size),
          static_cast<uint8_t>(grid_.bits));
      // Nothing says which groups of an expert without tokens matter.
      if (statistics.tokens == 0) continue;
      if (&statistics != shared) {
        ASSIGN_OR_RETURN(diagonal, Annotate(SalienceDiagonal(statistics, ctx),
                                            "layer ", item.name));
        shared = &statistics;
      }
      ASSIGN_OR_RETURN(
          BitAllocation allocation,
          AllocateBits(item.weight, statistics.sample,
                       GroupSalience(item.weight, diagonal, group_size, ctx),
                       grid_, ctx));
      if (allocation.pairs > 0) {
        ctx.ReportNote(absl::StrFormat(
            "%s: %d of %d groups at %d bits and as many at %d; divergence %.3g "
            "instead of %.3g",
            item.name, allocation.pairs, item.grid_plan.group_bits.size(),
            grid_.bits - 1, grid_.bits + 1,
            allocation.divergence[static_cast<size_t>(allocation.pairs)],
            allocation.divergence[0]));
      }
      item.grid_plan.group_bits = std::move(allocation.group_bits);
    }
    return absl::OkStatus();
  }

 private:
  // U_jj; infinite, which makes no salience, where an input was never active.
  absl::StatusOr<std::vector<double>> SalienceDiagonal(
      const LayerStatistics& statistics, ExecutionContext& ctx) const {
    const SquareMatrix& h = statistics.second_moment;
    ASSIGN_OR_RETURN(std::vector<double> diagonal,
                     DampedFactorDiagonal(h, damping_, ctx));
    for (int64_t j = 0; j < h.n; ++j) {
      if (h.at(j, j) == 0) {
        diagonal[static_cast<size_t>(j)] =
            std::numeric_limits<double>::infinity();
      }
    }
    return diagonal;
  }

  const AffineGridOptions grid_;
  const double damping_;
  const int64_t sample_rows_;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewBitAllocationStage(
    const v1::BitAllocationStage& options) {
  return std::make_unique<BitAllocationStage>(options);
}

}  // namespace quantd
