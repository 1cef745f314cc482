// Layout "lookup-table.v1": codes of a few bits into one table of values that
// the whole layer shares, with a scale per output channel and group of input
// channels.
//
//   w[r, c] = scale[r, g] * values[code[r, c]],
//   g = group_index[c] if stored, else c / group_size
//
// NormalFloat and small floating-point formats have standard tables, which are
// named and not stored (value_tables.h); any other table, such as c^(1/a) of a
// power grid, is stored.
//
// Tensors, bits = b, groups = G per row:
//   <layer>.codes        U8  [rows, ceil(cols * b / 8)]: per row a little-
//                        endian bit stream (grouped_codes.h)
//   <layer>.scales       F16 [rows, G]
//   <layer>.values       F32 [2^b]; absent when the table has a name
//   <layer>.group_index  I32 [cols]; absent when groups are consecutive
// Header: {"layout", "bits", "group_size", "values": name of the table or
// "stored", "group_index": bool}.
#ifndef QUANTD_MODELS_LAYOUTS_LOOKUP_TABLE_H_
#define QUANTD_MODELS_LAYOUTS_LOOKUP_TABLE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/compressed_linear.h"

namespace quantd {

inline constexpr absl::string_view kLookupTableLayout = "lookup-table.v1";

// What a quantization stage fills in.
struct LookupTableWeights {
  int64_t rows = 0;
  int64_t cols = 0;
  int bits = 0;                      // 1..8
  int64_t group_size = 0;            // divides cols; cols = one group per row
  std::string table;                 // name of a standard table; empty = stored
  std::vector<float> values;         // [2^bits]; ignored when the table has a
                                     // name
  std::vector<uint8_t> codes;        // [rows, cols], one code per byte
  std::vector<float> scales;         // [rows, cols / group_size], exact in F16
  std::vector<int32_t> group_index;  // [cols] or empty

  int64_t groups() const { return cols / group_size; }
};

// InvalidArgument when sizes disagree, a code does not fit, a scale is not a
// finite F16 value, a table value is not finite, or there is no table of that
// name.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewLookupTable(
    LookupTableWeights weights);

// What such a layer was made from, `values` also of a table with a name;
// nullopt for another layout.
std::optional<LookupTableWeights> UnpackLookupTable(
    const CompressedLinear& layer);

// Whether the table of values is one of the layer's tensors.
enum class TableStorage { kNamed, kStored };

// Bytes of the tensors of a layer without group_index.
uint64_t LookupTableBytes(int64_t rows, int64_t cols, int bits,
                          int64_t group_size, TableStorage table);

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadLookupTable(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_LOOKUP_TABLE_H_
