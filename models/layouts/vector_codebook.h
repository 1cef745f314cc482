// Layout "vector-codebook.v1": short vectors of weights are sums of entries of
// codebooks. Serves VPTQ (Liu et al., arXiv:2409.17066: vectors along output
// channels, residual and outlier codebooks) and AQLM-like forms (vectors along
// input channels, several codebooks).
//
// Every input channel belongs to one of G groups. A group takes its channels
// in ascending order and cuts its rows x channels into blocks of
// vector_rows x vector_cols weights; a block at the edge is cut off. With
// codebooks C_0 .. C_{S-1} of the group, entry t of a block running over the
// rows of the block and, within a row, over its channels:
//
//   block[t] = row_scale[row of t] * sum_s C_s[code_s][t]
//
// Tensors, for group g and codebook s of b = index_bits[s]:
//   <layer>.codes.<g>.<s>      U8  [ceil(rows / vector_rows),
//                              ceil(B * b / 8)], B = blocks across: per row of
//                              blocks a little-endian bit stream, code j at
//                              bits [j * b, (j+1) * b)
//   <layer>.codebook.<g>.<s>   [2^b, vector_rows * vector_cols], F16, or I8
//                              when centroid_bits[s] is 8
//   <layer>.codebook_scale.<g>.<s>  F16 [1], with I8 only: entry = scale * I8
//   <layer>.column_groups      U8 [ceil(cols * ceil(log2 G) / 8)]: the group
//                              of every channel as one bit stream; absent when
//                              G = 1
//   <layer>.row_scales         F16 [rows]; absent when all are one
// Header: {"layout", "row_scales": bool, "groups": [{"columns", "vector_rows",
// "vector_cols", "index_bits": [b_0, ..], "centroid_bits": [16 or 8, ..]}]}.
//
// Groups are stored per channel, not as a permutation of channels: that takes
// log2 G bits each instead of 16, and decoding stays in place. I8 entries halve
// a codebook, which on small layers is a tenth of all bits, at an error far
// below that of the quantization.
#ifndef QUANTD_MODELS_LAYOUTS_VECTOR_CODEBOOK_H_
#define QUANTD_MODELS_LAYOUTS_VECTOR_CODEBOOK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/compressed_linear.h"

namespace quantd {

inline constexpr absl::string_view kVectorCodebookLayout = "vector-codebook.v1";

// A codebook and the codes that point into it.
struct IndexedCodebook {
  int index_bits = 8;      // 1..16
  int centroid_bits = 16;  // 16: entries exact in F16; 8: scale times -127..127
  float scale = 1.0f;      // with 8 bits; positive, exact in F16
  std::vector<float> entries;   // [2^index_bits, vector_rows * vector_cols]
  std::vector<uint16_t> codes;  // [blocks down, blocks across]
};

struct CodebookGroup {
  int64_t vector_rows = 1;                 // 1..64
  int64_t vector_cols = 1;                 // 1..64
  std::vector<IndexedCodebook> codebooks;  // 1..8
};

struct VectorCodebookWeights {
  int64_t rows = 0;
  int64_t cols = 0;
  std::vector<CodebookGroup> groups;   // 1..256
  std::vector<uint8_t> column_groups;  // [cols], or empty when one group
  std::vector<float> row_scales;       // [rows] exact in F16, or empty
};

// InvalidArgument when sizes disagree, a group has no channels, a code or
// group is out of range, a value is not one that can be stored.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewVectorCodebook(
    VectorCodebookWeights weights);

// What such a layer was made from; nullopt for another layout.
std::optional<VectorCodebookWeights> UnpackVectorCodebook(
    const CompressedLinear& layer);

// The stored size of one group over `columns` of a layer's channels.
struct CodebookGroupShape {
  int64_t columns = 0;
  int64_t vector_rows = 1;
  int64_t vector_cols = 1;
  std::vector<int> index_bits;
  std::vector<int> centroid_bits;  // as index_bits
};

// Bytes of the tensors of a layer.
uint64_t VectorCodebookBytes(int64_t rows, int64_t cols,
                             absl::Span<const CodebookGroupShape> groups,
                             bool row_scales);

// What an I8 codebook makes of `entries`: the F16 scale that holds the largest
// magnitude at 127, and every entry rounded to a multiple of it.
float RoundToScaledInt8(absl::Span<float> entries);

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadVectorCodebook(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_VECTOR_CODEBOOK_H_
