// The column sweep of GPTQ (arXiv:2210.17323, algorithm 1): quantize input
// channels one after the other and move each one's error into the channels
// not yet quantized, along the inverse Hessian.
//
//   e_j = (w_j - q_j) / U_jj,   w_rest -= e_j U_j,rest
//
// What "quantize" means is the caller's: the sweep serves every method that
// compensates errors this way. Rows are independent given U, so they are cut
// into fixed pieces for the threads.
#ifndef QUANTD_QUANTIZERS_COLUMN_SWEEP_H_
#define QUANTD_QUANTIZERS_COLUMN_SWEEP_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"

namespace quantd {

// Working weights, row-major, columns in sweep order.
template <typename Real>
struct WorkingWeights {
  int64_t rows = 0;
  int64_t cols = 0;
  Real* values = nullptr;

  Real* row(int64_t r) const { return values + r * cols; }
};

// Quantizes one column for a piece of the rows. Called from several threads
// with disjoint row ranges; for one range the columns come in order.
template <typename Real>
class ColumnQuantizer {
 public:
  virtual ~ColumnQuantizer() = default;

  // Columns [column, cols) of rows [row_begin, row_end) of `weights` hold the
  // error-compensated values, complete up to the end of the current block of
  // columns. Writes the quantized values of `column` to
  // quantized[0 .. row_end - row_begin).
  virtual void QuantizeColumn(int64_t column, int64_t row_begin,
                              int64_t row_end,
                              const WorkingWeights<Real>& weights,
                              Real* quantized) = 0;

  // Columns that must be compensated together with `column` before
  // QuantizeColumn(column): the end of its group if the quantizer fits a grid
  // at the start of a group from the compensated weights, else column + 1.
  virtual int64_t NeedsUpTo(int64_t column) const { return column + 1; }
};

struct ColumnSweepOptions {
  // Columns whose errors are applied lazily to the rest in one product. A
  // block is lengthened to the end of a group that starts in it (NeedsUpTo),
  // so that no grid is fitted to stale weights.
  int64_t column_block = 128;
  // Pieces of the rows begin at multiples of it.
  int64_t row_alignment = 1;
};

// `upper` [cols, cols] is the factor U of the inverse (second_moment.h). On
// return `weights` holds the quantized values. Returns
// sum (w - q)^2 / (2 U_jj^2) = 1/2 tr(D H' D^T), the layer loss under the
// damped H'. Cancelled when the context is.
template <typename Real>
absl::StatusOr<double> SweepColumns(const WorkingWeights<Real>& weights,
                                    absl::Span<const Real> upper,
                                    const ColumnSweepOptions& options,
                                    ColumnQuantizer<Real>& quantizer,
                                    ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_COLUMN_SWEEP_H_
