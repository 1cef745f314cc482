// Layout "low-rank-sum.v1": the product of two thin factors added to another
// layout.
//
//   W = base + A B,   A [rows, m], B [m, cols]
//
// Multiply() never forms A B: y = base x + A (B x).
//
// Tensors:
//   <layer>.low_rank_a         F16 [rows, m], or I8 [rows, m]
//   <layer>.low_rank_b         F16 [m, cols], or I8 [m, cols]
//   <layer>.low_rank_a_scales  F16 [m], only beside I8: element (r, i) of A is
//                              a[r, i] * a_scales[i]
//   <layer>.low_rank_b_scales  F16 [m], likewise b[i, c] * b_scales[i]
// Header: {"layout", "base": header of the base, "rank": m,
// "factors": "F16" or "I8"}. The base's tensors keep their names.
//
// Why a scale per component: components of a singular value decomposition
// differ in size by their singular values, rows and columns hardly.
#ifndef QUANTD_MODELS_LAYOUTS_LOW_RANK_SUM_H_
#define QUANTD_MODELS_LAYOUTS_LOW_RANK_SUM_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/compressed_linear.h"

namespace quantd {

inline constexpr absl::string_view kLowRankSumLayout = "low-rank-sum.v1";

struct LowRankFactors {
  int64_t rank = 0;  // >= 1
  // Without scales, values exact in F16; with scales, integers -127 .. 127.
  std::vector<float> a;  // [rows, rank]
  std::vector<float> b;  // [rank, cols]
  // Of the components, exact in F16; both empty or both [rank].
  std::vector<float> a_scales;
  std::vector<float> b_scales;

  bool integer() const { return !a_scales.empty(); }
};

// InvalidArgument when sizes disagree, a value cannot be stored as said, or
// `base` has such a layout in it already.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewLowRankSum(
    std::shared_ptr<const CompressedLinear> base, LowRankFactors factors);

// How factors are kept.
enum class FactorType { kF16, kI8 };

// Bytes that the factors add to their base.
uint64_t LowRankBytes(int64_t rows, int64_t cols, int64_t rank,
                      FactorType type);

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadLowRankSum(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_LOW_RANK_SUM_H_
