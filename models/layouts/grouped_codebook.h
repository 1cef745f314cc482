// Layout "grouped-codebook.v1": output channels in groups, of which each has a
// table of 2^bits values; every channel a scale, every weight an index into its
// group's table (Yvinec et al., JLCM, arXiv:2309.17361: neuron grouping).
//
//   w[r, c] = scale[r] * codebook[group[r], code[r, c]]
//
// Tensors, bits = b, groups = G:
//   <layer>.codes       U8  [rows, ceil(cols * b / 8)]: per row a little-endian
//                       bit stream, code c at bits [c * b, (c+1) * b)
//   <layer>.codebooks   F16 [G, 2^b]
//   <layer>.row_groups  U8  [ceil(rows * g / 8)], g = ceil(log2 G): the group
//                       of every row, one little-endian bit stream; absent when
//                       G = 1
//   <layer>.scales      F16 [rows]
// Header: {"layout", "bits", "groups"}.
//
// Rows stay in their order: a permutation that made groups contiguous would
// have to be stored or undone by the layers behind, and costs log2(rows) bits a
// row where a group's number costs log2 G.
//
// Entries of a table need not be distinct nor in order.
#ifndef QUANTD_MODELS_LAYOUTS_GROUPED_CODEBOOK_H_
#define QUANTD_MODELS_LAYOUTS_GROUPED_CODEBOOK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/compressed_linear.h"

namespace quantd {

inline constexpr absl::string_view kGroupedCodebookLayout =
    "grouped-codebook.v1";

struct GroupedCodebookWeights {
  int64_t rows = 0;
  int64_t cols = 0;
  int bits = 0;                     // 1..8
  int64_t groups = 0;               // 1..65536
  std::vector<uint8_t> codes;       // [rows, cols], one code per byte
  std::vector<float> codebooks;     // [groups, 2^bits], exact in F16
  std::vector<int32_t> row_groups;  // [rows], 0..groups - 1
  std::vector<float> scales;        // [rows], exact in F16
};

// InvalidArgument when sizes disagree, a code or a group does not fit or a
// value is not a finite F16 value.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewGroupedCodebook(
    GroupedCodebookWeights weights);

// What such a layer was made from; nullopt for another layout.
std::optional<GroupedCodebookWeights> UnpackGroupedCodebook(
    const CompressedLinear& layer);

// Bytes of the tensors of a layer.
uint64_t GroupedCodebookBytes(int64_t rows, int64_t cols, int bits,
                              int64_t groups);

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadGroupedCodebook(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_GROUPED_CODEBOOK_H_
