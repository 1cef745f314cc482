// Layout "packed-int.v1": uniform integer codes with a scale, and optionally a
// zero point, per output channel and group of input channels.
//
//   w[r, c] = scale[r, g] * (code[r, c] - zero[r, g]),
//   g = group_index[c] if stored, else c / group_size
//
// Tensors, bits = b, groups = G per row:
//   <layer>.codes        U8  [rows, ceil(cols * b / 8)]: per row a little-
//                        endian bit stream, code c at bits [c * b, (c+1) * b)
//   <layer>.scales       F16 [rows, G]
//   <layer>.zeros        U8  [ceil(rows * G * b / 8)]: one bit stream over all
//                        rows; absent when symmetric, zero is then 2^(b-1)
//   <layer>.group_index  I32 [cols]; absent when groups are consecutive
// Header: {"layout", "bits", "group_size", "symmetric", "group_index": bool}.
//
// Why bit streams: every width from 2 to 8 is stored at exactly its size, and
// rows start on byte boundaries so that they decode independently.
#ifndef QUANTD_MODELS_LAYOUTS_PACKED_INT_H_
#define QUANTD_MODELS_LAYOUTS_PACKED_INT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/compressed_linear.h"

namespace quantd {

inline constexpr absl::string_view kPackedIntLayout = "packed-int.v1";

// What a quantization stage fills in.
struct PackedIntWeights {
  int64_t rows = 0;
  int64_t cols = 0;
  int bits = 0;            // 2..8
  int64_t group_size = 0;  // divides cols; cols = one group per row
  bool symmetric = false;
  std::vector<uint8_t> codes;        // [rows, cols], one code per byte
  std::vector<float> scales;         // [rows, cols / group_size], exact in F16
  std::vector<uint8_t> zeros;        // as scales; ignored when symmetric
  std::vector<int32_t> group_index;  // [cols] or empty

  int64_t groups() const { return cols / group_size; }
};

// InvalidArgument when sizes disagree, a code or zero does not fit, a scale is
// not a finite F16 value, or a group index is out of range.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewPackedInt(
    PackedIntWeights weights);

// What such a layer was made from; nullopt for another layout.
std::optional<PackedIntWeights> UnpackPackedInt(const CompressedLinear& layer);

// Bytes of the tensors of a layer without group_index.
uint64_t PackedIntBytes(int64_t rows, int64_t cols, int bits,
                        int64_t group_size, bool symmetric);

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadPackedInt(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_PACKED_INT_H_
