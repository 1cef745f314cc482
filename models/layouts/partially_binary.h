// Layout "partially-binary.v1": most weights are one of two values, the
// salient ones integer codes (PB-LLM, arXiv:2310.00034).
//
//   w[r, c] = scale[r] * (code[r, c] - zero[r])               where salient
//   w[r, c] = mean[r, g] + alpha[r, g] * (2 code[r, c] - 1)   elsewhere
//   g = group_index[c] if stored, else c / group_size; mean = 0 if not stored
//
// Tensors, bits = b of a salient code, groups = G per row:
//   <layer>.codes   U8  [ceil((rows * cols + (b - 1) * salient) / 8)]: one
//                   little-endian bit stream, row after row, b bits where
//                   salient and 1 elsewhere
//   <layer>.alphas  F16 [rows, G]
//   <layer>.means   F16 [rows, G]; absent when not centered
//   <layer>.scales  F16 [rows]
//   <layer>.zeros   U8  [ceil(rows * b / 8)]: one bit stream
//   <layer>.group_index  I32 [cols]; absent when groups are consecutive
// and where the salient weights are, whichever takes fewer bytes (a bitmap when
// equal):
//   <layer>.bitmap      U8  [ceil(rows * cols / 8)]: one bit stream, 1 =
//   salient
// or
//   <layer>.row_starts  I32 [rows + 1]
//   <layer>.columns     U16 [salient], U32 where cols > 65536: ascending in
//                       each row
// Header: {"layout", "bits", "group_size", "centered": bool,
// "group_index": bool, "positions": "bitmap" | "columns"}.
#ifndef QUANTD_MODELS_LAYOUTS_PARTIALLY_BINARY_H_
#define QUANTD_MODELS_LAYOUTS_PARTIALLY_BINARY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/compressed_linear.h"

namespace quantd {

inline constexpr absl::string_view kPartiallyBinaryLayout =
    "partially-binary.v1";

// What a quantization stage fills in.
struct PartiallyBinaryWeights {
  int64_t rows = 0;
  int64_t cols = 0;
  int bits = 8;                      // of a salient code, 2..8
  int64_t group_size = 0;            // of the two values; divides cols
  std::vector<uint8_t> salient;      // [rows, cols]: 1 where salient, else 0
  std::vector<uint8_t> codes;        // [rows, cols], one code per byte
  std::vector<float> alphas;         // [rows, G], exact in F16
  std::vector<float> means;          // [rows, G], exact in F16; empty: all zero
  std::vector<float> scales;         // [rows], exact in F16
  std::vector<uint8_t> zeros;        // [rows]
  std::vector<int32_t> group_index;  // [cols] or empty

  int64_t groups() const { return cols / group_size; }
};

// InvalidArgument when sizes disagree, a code or zero does not fit, a mask
// entry is neither 0 nor 1, or a float is not a finite F16 value.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewPartiallyBinary(
    PartiallyBinaryWeights weights);

// What such a layer was made from; nullopt for another layout.
std::optional<PartiallyBinaryWeights> UnpackPartiallyBinary(
    const CompressedLinear& layer);

// Bytes of the tensors of a layer without group_index, `salient` weights in
// all.
uint64_t PartiallyBinaryBytes(int64_t rows, int64_t cols, int bits,
                              int64_t group_size, bool centered,
                              int64_t salient);

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadPartiallyBinary(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_PARTIALLY_BINARY_H_
