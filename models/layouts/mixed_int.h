// Layout "mixed-int.v1": integer codes whose width differs from group to group
// of input channels: for all output channels alike (SliM-LLM,
// arXiv:2405.14917), or per output channel.
//
//   w[r, c] = scale[r, g] * (code[r, c] - zero[r, g])     where bits > 1
//   w[r, c] = mean[r, g] + scale[r, g] * (2 code[r, c] - 1)    where bits = 1
//   g = c / group_size, bits = bits[g] or bits[r, g]
//
// Tensors, groups = G per row:
//   <layer>.widths  U8  [ceil(3 n / 8)]: one little-endian bit stream of
//                   bits - 1 in 3 bits each; n = G, or rows * G in row order
//                   when widths are per row
//   <layer>.codes   U8  [sum over rows of ceil(bits of the row / 8)]: per row a
//                   bit stream, column after column, each code at its group's
//                   width; rows start on byte boundaries
//   <layer>.scales  F16 [rows, G]
//   <layer>.zeros   U8: one bit stream over all rows, each zero point at its
//                   group's width; groups of 1 bit have none. Absent when
//                   symmetric (zero is then 2^(bits - 1)) or when empty
//   <layer>.means   F16 [groups of 1 bit], in row order. Absent when symmetric
//                   (the mean is then 0) or when empty
// Header: {"layout", "group_size", "symmetric", "row_widths": bool}.
#ifndef QUANTD_MODELS_LAYOUTS_MIXED_INT_H_
#define QUANTD_MODELS_LAYOUTS_MIXED_INT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/compressed_linear.h"

namespace quantd {

inline constexpr absl::string_view kMixedIntLayout = "mixed-int.v1";

// What a quantization stage fills in.
struct MixedIntWeights {
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t group_size = 0;  // divides cols
  bool symmetric = false;
  std::vector<uint8_t> bits;   // 1..8; [G], or [rows, G]
  std::vector<uint8_t> codes;  // [rows, cols], one code per byte
  std::vector<float> scales;   // [rows, G], exact in F16
  // [rows, G]; ignored when symmetric and where bits = 1.
  std::vector<uint8_t> zeros;
  // [rows, G], exact in F16; ignored when symmetric and where bits > 1. May be
  // empty when all are.
  std::vector<float> means;

  int64_t groups() const { return cols / group_size; }
  bool row_widths() const {
    return static_cast<int64_t>(bits.size()) != groups();
  }
  int bits_of(int64_t row, int64_t group) const {
    return bits[static_cast<size_t>(row_widths() ? row * groups() + group
                                                 : group)];
  }
};

// InvalidArgument when sizes disagree, a width is not in 1..8, a code or zero
// does not fit its width, or a scale or mean is not a finite F16 value.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewMixedInt(
    MixedIntWeights weights);

// What such a layer was made from; nullopt for another layout.
std::optional<MixedIntWeights> UnpackMixedInt(const CompressedLinear& layer);

// Bytes of the tensors of a layer; `bits` [G] or [rows, G].
uint64_t MixedIntBytes(int64_t rows, int64_t cols, int64_t group_size,
                       bool symmetric, absl::Span<const uint8_t> bits);

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadMixedInt(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_MIXED_INT_H_
