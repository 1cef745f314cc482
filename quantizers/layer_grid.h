// The grid of one layer while the layer is quantized: which values its weights
// may take, and which codes they took. Solvers (round to nearest, GPTQ,
// coordinate descent, ...) decide what is asked of it and know nothing else of
// the grid's kind.
//
//   grid->Prepare(view);                    // once
//   grid->FitGroup({row, group, values, columns, {}});  // before its columns
//   grid->Quantize(patch);                  // as often as the solver likes
//   again = grid->Refine(view);             // true: quantize all once more
//   compressed = std::move(*grid).Finish({});
//
// The last Quantize() of a weight decides its code. FitGroup() and Quantize()
// may be called from several threads for disjoint ranges of rows.
// Instantiated for float (production) and double (checks against exact
// results).
#ifndef QUANTD_QUANTIZERS_LAYER_GRID_H_
#define QUANTD_QUANTIZERS_LAYER_GRID_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/compressed_linear.h"
#include "quantizers/second_moment.h"

namespace quantd {

// What is known of a layer before its first column is quantized. All input
// channels in their original order.
template <typename Real>
struct LayerView {
  int64_t rows = 0;
  int64_t cols = 0;
  const Real* weights = nullptr;  // [rows, cols]
  // Of the second moment; empty when there is none.
  absl::Span<const double> moment_diagonal;
  // U_jj of the damped inverse's factor (second_moment.h); empty when the
  // solver makes none.
  absl::Span<const Real> factor_diagonal;
  // The whole of it; null when there is none.
  const SquareMatrix* second_moment = nullptr;
  // Weights of single elements, [rows, cols], or null: all count alike.
  const float* importance = nullptr;
};

// The weights of one row that share fitted parameters.
template <typename Real>
struct GroupValues {
  int64_t row = 0;
  int64_t group = 0;
  absl::Span<const Real> values;
  // The input channel of each value.
  absl::Span<const int64_t> columns;
  // How much each value counts, 0 = it is left out; empty: all alike.
  absl::Span<const Real> importance;
};

// A rectangle of weights of one group: rows [row_begin, row_end), input
// channels [column, column + columns).
template <typename Real>
struct Patch {
  int64_t row_begin = 0;
  int64_t row_end = 0;
  int64_t column = 0;
  int64_t columns = 1;
  int64_t group = 0;
  const Real* values = nullptr;  // row r at values + (r - row_begin) * stride
  int64_t value_stride = 0;
  Real* quantized = nullptr;  // null: only the codes are wanted
  int64_t quantized_stride = 0;
};

template <typename Real>
class LayerGrid {
 public:
  virtual ~LayerGrid() = default;

  // Sees the whole layer once, before everything else. Fits what the layer
  // shares (codebooks, masks). Errors say what about the layer is wrong.
  virtual absl::Status Prepare(const LayerView<Real>& /*layer*/,
                               ExecutionContext& /*ctx*/) {
    return absl::OkStatus();
  }

  // Input channels that share fitted parameters; divides the layer's.
  virtual int64_t group_size() const = 0;

  // Patches begin at a multiple of so many rows and end at one or at the last
  // row: codes may stand for several output channels.
  virtual int64_t row_alignment() const { return 1; }

  // Fits the parameters of a row in a group to its values.
  virtual void FitGroup(const GroupValues<Real>& group) = 0;

  // The nearest values of the grid. REQUIRES: the group was fitted for the
  // rows.
  virtual void Quantize(const Patch<Real>& patch) = 0;

  // Improves what the layer shares by what the solver made of it. True: the
  // solver is to quantize every weight again and then ask again. False: the
  // codes may stay, their tr(D H D^T) has not risen; it can be asked again
  // after further Quantize(). `layer` is as in Prepare(). REQUIRES: every
  // weight was quantized.
  virtual absl::StatusOr<bool> Refine(const LayerView<Real>& /*layer*/,
                                      ExecutionContext& /*ctx*/) {
    return false;
  }

  // Brings `values` [rows, cols], returned by the last Quantize() of each
  // weight, up to date with what Refine() changed since.
  virtual void UpdateValues(Real* /*values*/) const {}

  // The layer in the codes of the last Quantize() of each weight.
  // `group_index[c]` is the group of input channel c; empty: groups are
  // consecutive channels. REQUIRES: every weight was quantized. Called once,
  // last.
  virtual absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish(
      std::vector<int32_t> group_index) = 0;
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_LAYER_GRID_H_
