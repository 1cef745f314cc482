// Layout "packed-affine.v1": uniform integer codes with a scale and a real
// zero point per output channel and group of consecutive input channels.
//
//   w[r, c] = scale[r, g] * (code[r, c] - zero[r, g]),  g = c / group_size
//
// Unlike packed-int.v1 the zero point is not itself a code: a solver that fits
// it, such as half-quadratic quantization, wants any real number.
//
// Tensors, bits = b, groups = G per row:
//   <layer>.codes   U8  [rows, ceil(cols * b / 8)]: per row a little-endian bit
//                   stream (grouped_codes.h)
//   <layer>.scales  F16 [rows, G]
//   <layer>.zeros   F16 [rows, G], in units of codes
// Header: {"layout", "bits", "group_size"}.
#ifndef QUANTD_MODELS_LAYOUTS_PACKED_AFFINE_H_
#define QUANTD_MODELS_LAYOUTS_PACKED_AFFINE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/compressed_linear.h"

namespace quantd {

inline constexpr absl::string_view kPackedAffineLayout = "packed-affine.v1";

// What a quantization stage fills in.
struct PackedAffineWeights {
  int64_t rows = 0;
  int64_t cols = 0;
  int bits = 0;                // 1..8
  int64_t group_size = 0;      // divides cols; cols = one group per row
  std::vector<uint8_t> codes;  // [rows, cols], one code per byte
  std::vector<float> scales;   // [rows, cols / group_size], exact in F16
  std::vector<float> zeros;    // as scales

  int64_t groups() const { return cols / group_size; }
};

// InvalidArgument when sizes disagree, a code does not fit, or a scale or zero
// is not a finite F16 value.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewPackedAffine(
    PackedAffineWeights weights);

// Bytes of the tensors of a layer.
uint64_t PackedAffineBytes(int64_t rows, int64_t cols, int bits,
                           int64_t group_size);

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadPackedAffine(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_PACKED_AFFINE_H_
