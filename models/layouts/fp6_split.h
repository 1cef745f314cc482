// Layout "fp6-split.v1": six-bit floating point E3M2 with one scale per output
// channel, each code split into two planes of whole bytes, as the kernels of
// FP6-LLM load them.
//
//   w[r, c] = scale[r] * E3M2(high[r, c] << 4 | low[r, c])
//
// E3M2 is "e3m2" of value_tables.h: sign, 3 exponent bits (bias 3), 2 mantissa
// bits, no infinity, at most 28. Because 2^-12 E3M2 is the binary16 number with
// the sign at bit 15 and the other bits at 12..8, a kernel decodes by moving
// bits and multiplies by 2^12 * scale.
//
// Tensors, per row little-endian bit streams (grouped_codes.h):
//   <layer>.high    U8  [rows, ceil(cols / 4)]: sign and first exponent bit,
//                   two bits per code
//   <layer>.low     U8  [rows, ceil(cols / 2)]: the other four bits
//   <layer>.scales  F16 [rows]
// Header: {"layout"}.
//
// Source: Wu et al., ZeroQuant(4+2), arXiv:2312.08583; Xia et al., FP6-LLM,
// arXiv:2401.14112, section 5.2 (4+2 weight split).
#ifndef QUANTD_MODELS_LAYOUTS_FP6_SPLIT_H_
#define QUANTD_MODELS_LAYOUTS_FP6_SPLIT_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/compressed_linear.h"

namespace quantd {

inline constexpr absl::string_view kFp6SplitLayout = "fp6-split.v1";

// What a quantization stage fills in.
struct Fp6SplitWeights {
  int64_t rows = 0;
  int64_t cols = 0;
  std::vector<uint8_t> codes;  // [rows, cols], six bits each
  std::vector<float> scales;   // [rows], exact in F16
};

// InvalidArgument when sizes disagree, a code does not fit or a scale is not a
// finite F16 value.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewFp6Split(
    Fp6SplitWeights weights);

// Bytes of the tensors of a layer.
uint64_t Fp6SplitBytes(int64_t rows, int64_t cols);

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadFp6Split(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols);

// The exchange form of FP6-LLM's weight files: four codes in three bytes, the
// first code in the highest bits. REQUIRES: codes.size() % 4 == 0, every code
// below 64.
std::vector<uint8_t> PackFp6Quads(absl::Span<const uint8_t> codes);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_FP6_SPLIT_H_
