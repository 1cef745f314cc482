// Layout "dual-binary.v1": two bits per weight, each of which switches a level
// of its group on (flexible dual binarization, DB-LLM, arXiv:2402.11960).
//
//   w[r, c] = sign[r, g] * (high[r, g] * b1[r, c] + low[r, g] * b2[r, c])
//   high > 0 > low,  high + low > 0,  sign = -1 where mirrored, else +1
//   g = group_index[c] if stored, else c / group_size
//
// A weight is one of sign * {low, 0, high + low, high}.
//
// Tensors, groups = G per row:
//   <layer>.high_bits    U8  [rows, ceil(cols / 8)]: the plane b1, per row a
//                        little-endian bit stream
//   <layer>.low_bits     U8  [rows, ceil(cols / 8)]: the plane b2
//   <layer>.highs        F16 [rows, G]
//   <layer>.lows         F16 [rows, G]
//   <layer>.mirrored     U8  [ceil(rows * G / 8)]: one bit stream, 1 =
//                        mirrored; absent when no group may be
//   <layer>.group_index  I32 [cols]; absent when groups are consecutive
// Header: {"layout", "group_size", "mirrored": bool, "group_index": bool}.
//
// Why planes and not codes of two bits: a product needs the sum of the inputs
// that each plane selects and two multiplications per group, nothing else.
#ifndef QUANTD_MODELS_LAYOUTS_DUAL_BINARY_H_
#define QUANTD_MODELS_LAYOUTS_DUAL_BINARY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/compressed_linear.h"
#include "tensor/estimators.h"
#include "tensor/tensor.h"

namespace quantd {

inline constexpr absl::string_view kDualBinaryLayout = "dual-binary.v1";

// What a quantization stage fills in.
struct DualBinaryWeights {
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t group_size = 0;            // divides cols; cols = one group per row
  std::vector<uint8_t> codes;        // [rows, cols]: b1 + 2 b2
  std::vector<float> highs;          // [rows, G], exact in F16
  std::vector<float> lows;           // [rows, G], exact in F16
  std::vector<uint8_t> mirrored;     // [rows, G] of 0 and 1; empty: none is
  std::vector<int32_t> group_index;  // [cols] or empty

  int64_t groups() const { return cols / group_size; }
};

// InvalidArgument when sizes disagree, a code exceeds 3, a level is not a
// finite F16 value, levels are out of order, an entry of `mirrored` is neither
// 0 nor 1, or a group index is out of range.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewDualBinary(
    DualBinaryWeights weights);

// What such a layer was made from; nullopt for another layout.
std::optional<DualBinaryWeights> UnpackDualBinary(
    const CompressedLinear& layer);

// Bytes of the tensors of a layer without group_index.
uint64_t DualBinaryBytes(int64_t rows, int64_t cols, int64_t group_size,
                         bool mirrored);

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadDualBinary(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols);

// --- For those who train levels --------------------------------------------

// Both [rows, G] with the signs of their groups, so that everywhere
// w = high * b1 + low * b2.
struct DualLevels {
  Tensor highs;
  Tensor lows;
};

DualLevels SignedLevels(const DualBinaryWeights& weights);

// And back. REQUIRES: values are exact in F16 if NewDualBinary() is to take
// them.
void SetSignedLevels(const DualLevels& levels, DualBinaryWeights* weights);

// The nearest levels that stay in order when they are rounded to F16; those of
// a group that are not finite stay as they are. `mirrored` as in
// DualBinaryWeights.
void OrderLevels(const std::vector<uint8_t>& mirrored, DualLevels* levels);

// The weight [rows, cols] of two planes [rows, cols] of 0 and 1, bit for bit
// that of Decode() when the levels are exact in F16. Differentiable.
Tensor SumOfLevels(const Tensor& high_bits, const Tensor& low_bits,
                   const DualLevels& levels, const ChannelGroups& groups,
                   ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_DUAL_BINARY_H_
