// Layout "sparse-overlay.v1": single weights in binary16 over another layout.
//
//   w[r, c] = values[i] if (r, c) is entry i, else base[r, c]
//
// Values replace those of the base and are not added to them: the base's code
// at such a place is of no account, so it does not matter what a method that
// leaves these weights out stores there.
//
// Tensors, n entries in the order of rows and, within one, of columns:
//   <layer>.outlier_row_starts  I32 [rows + 1]: row r has the entries
//                               row_starts[r] .. row_starts[r + 1] - 1
//   <layer>.outlier_columns     U16 [n]; U32 where cols > 65536
//   <layer>.outlier_values      F16 [n]
// When every row has the same k columns (whole input channels in high
// precision), they are stored once:
//   <layer>.outlier_columns     U16 or U32 [k]
//   <layer>.outlier_values      F16 [rows, k]
// Header: {"layout", "base": header of the base, "whole_columns": bool}. The
// base's tensors keep their names.
#ifndef QUANTD_MODELS_LAYOUTS_SPARSE_OVERLAY_H_
#define QUANTD_MODELS_LAYOUTS_SPARSE_OVERLAY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/compressed_linear.h"

namespace quantd {

inline constexpr absl::string_view kSparseOverlayLayout = "sparse-overlay.v1";

// Entries in compressed rows.
struct SparseEntries {
  std::vector<int32_t> row_starts;  // [rows + 1]
  std::vector<int32_t> columns;     // ascending within a row, each once
  std::vector<float> values;        // as columns; exact in F16
};

// `base` itself when there are no entries. InvalidArgument when sizes
// disagree, columns are out of range or order, a value is not a finite F16
// value, or `base` has such a layout in it already.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewSparseOverlay(
    std::shared_ptr<const CompressedLinear> base, SparseEntries entries);

// Bytes that the overlay adds to its base: for `entries` scattered entries,
// and for `columns` whole columns.
uint64_t SparseOverlayBytes(int64_t rows, int64_t cols, int64_t entries);
uint64_t WholeColumnBytes(int64_t rows, int64_t cols, int64_t columns);

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadSparseOverlay(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_SPARSE_OVERLAY_H_
