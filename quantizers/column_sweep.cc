#include "quantizers/column_sweep.h"

#include <algorithm>
#include <numeric>
#include <type_traits>
#include <vector>

#include "base/status_macros.h"

namespace quantd {
namespace {

// Rows per piece at least: fixed, so the partition does not depend on the
// threads.
constexpr int64_t kMinPieceRows = 32;

// weights[:, end:] -= errors [rows, block] * upper[block, end:].
void ApplyToRest(const WorkingWeights<float>& weights,
                 const std::vector<float>& errors, int64_t block,
                 absl::Span<const float> upper, int64_t begin, int64_t end,
                 ExecutionContext& ctx) {
  // `errors` is stored negated, so that the product is added.
  GemmArgs args;
  args.m = weights.rows;
  args.n = weights.cols - end;
  args.k = block;
  args.a = errors.data();
  args.lda = block;
  args.b = upper.data() + begin * weights.cols + end;
  args.ldb = weights.cols;
  args.beta = 1.0f;
  args.c = weights.values + end;
  args.ldc = weights.cols;
  ctx.device().Gemm(args);
}

// float64 is for checks against exact results; a plain loop is enough.
void ApplyToRest(const WorkingWeights<double>& weights,
                 const std::vector<double>& errors, int64_t block,
                 absl::Span<const double> upper, int64_t begin, int64_t end,
                 ExecutionContext&) {
  for (int64_t r = 0; r < weights.rows; ++r) {
    for (int64_t j = 0; j < block; ++j) {
      const double e = errors[static_cast<size_t>(r * block + j)];
      const double* u = upper.data() + (begin + j) * weights.cols;
      double* w = weights.row(r);
      for (int64_t c = end; c < weights.cols; ++c) w[c] += e * u[c];
    }
  }
}

}  // namespace

template <typename Real>
absl::StatusOr<double> SweepColumns(const WorkingWeights<Real>& weights,
                                    absl::Span<const Real> upper,
                                    const ColumnSweepOptions& options,
                                    ColumnQuantizer<Real>& quantizer,
                                    ExecutionContext& ctx) {
  const int64_t rows = weights.rows;
  const int64_t cols = weights.cols;
  const int64_t alignment = options.row_alignment;
  const int64_t piece_rows =
      (kMinPieceRows + alignment - 1) / alignment * alignment;
  const int64_t pieces = (rows + piece_rows - 1) / piece_rows;
  std::vector<double> losses(static_cast<size_t>(pieces), 0.0);
  std::vector<Real> errors;

  int64_t begin = 0;
  while (begin < cols) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    int64_t end = std::min(begin + options.column_block, cols);
    for (int64_t j = begin; j < end; ++j) {
      end = std::min(cols, std::max(end, quantizer.NeedsUpTo(j)));
    }
    const int64_t block = end - begin;
    errors.assign(static_cast<size_t>(rows * block), Real{0});
    ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
      const int64_t row_begin = piece * piece_rows;
      const int64_t row_end = std::min(row_begin + piece_rows, rows);
      std::vector<Real> quantized(static_cast<size_t>(piece_rows));
      for (int64_t j = begin; j < end; ++j) {
        quantizer.QuantizeColumn(j, row_begin, row_end, weights,
                                 quantized.data());
        const Real* u_row = upper.data() + j * cols;
        const Real inverse_diagonal = Real{1} / u_row[j];
        for (int64_t r = row_begin; r < row_end; ++r) {
          Real* w = weights.row(r);
          const Real value = quantized[static_cast<size_t>(r - row_begin)];
          const Real error = (w[j] - value) * inverse_diagonal;
          w[j] = value;
          for (int64_t c = j + 1; c < end; ++c) w[c] -= error * u_row[c];
          errors[static_cast<size_t>(r * block + j - begin)] = -error;
          losses[static_cast<size_t>(piece)] +=
              0.5 * static_cast<double>(error) * static_cast<double>(error);
        }
      }
    });
    if (end < cols) ApplyToRest(weights, errors, block, upper, begin, end, ctx);
    begin = end;
  }
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

template absl::StatusOr<double> SweepColumns<float>(
    const WorkingWeights<float>&, absl::Span<const float>,
    const ColumnSweepOptions&, ColumnQuantizer<float>&, ExecutionContext&);
template absl::StatusOr<double> SweepColumns<double>(
    const WorkingWeights<double>&, absl::Span<const double>,
    const ColumnSweepOptions&, ColumnQuantizer<double>&, ExecutionContext&);

}  // namespace quantd
