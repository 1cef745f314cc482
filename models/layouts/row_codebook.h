// Layout "row-codebook.v1": every output channel has a table of 2^bits values,
// every weight an index into its channel's table (SqueezeLLM, Kim et al.,
// arXiv:2306.07629, section 4: dense part).
//
//   w[r, c] = codebook[r, code[r, c]]
//
// Tensors, bits = b:
//   <layer>.codes     U8  [rows, ceil(cols * b / 8)]: per row a little-endian
//                     bit stream, code c at bits [c * b, (c+1) * b)
//   <layer>.codebook  F16 [rows, 2^b]
// Header: {"layout", "bits"}.
//
// Entries of a table need not be distinct nor in order.
#ifndef QUANTD_MODELS_LAYOUTS_ROW_CODEBOOK_H_
#define QUANTD_MODELS_LAYOUTS_ROW_CODEBOOK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/compressed_linear.h"

namespace quantd {

inline constexpr absl::string_view kRowCodebookLayout = "row-codebook.v1";

struct RowCodebookWeights {
  int64_t rows = 0;
  int64_t cols = 0;
  int bits = 0;                 // 1..8
  std::vector<uint8_t> codes;   // [rows, cols], one code per byte
  std::vector<float> codebook;  // [rows, 2^bits], exact in F16
};

// InvalidArgument when sizes disagree, a code does not fit or a value is not a
// finite F16 value.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewRowCodebook(
    RowCodebookWeights weights);

// What such a layer was made from; nullopt for another layout.
std::optional<RowCodebookWeights> UnpackRowCodebook(
    const CompressedLinear& layer);

// Bytes of the tensors of a layer.
uint64_t RowCodebookBytes(int64_t rows, int64_t cols, int bits);

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadRowCodebook(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_ROW_CODEBOOK_H_
