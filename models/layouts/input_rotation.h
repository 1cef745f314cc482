// Layout "input-rotation.v1": another layout in a rotated basis of the input.
//
//   W = base R^T,  R = diag(sign) (I (x) H / sqrt(b))
//
// with H the Hadamard matrix of order b = block_size (kernels/hadamard.h), one
// copy for every b consecutive input channels. The base holds W R, which is
// what was quantized: a rotation spreads outlying channels over all others
// (Ashkboos et al., QuaRot, arXiv:2404.00456, section 3). Serving may apply R
// to the input instead and multiply by the base; Decode() returns W.
//
// Tensors: those of the base, and
//   <layer>.rotation_signs  U8 [ceil(cols / 8)]: sign of channel c negative
//                           where bit c % 8 of byte c / 8 is set; bits beyond
//                           the last channel are zero
// Header: {"layout", "block_size", "base": header of the base}.
#ifndef QUANTD_MODELS_LAYOUTS_INPUT_ROTATION_H_
#define QUANTD_MODELS_LAYOUTS_INPUT_ROTATION_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/execution_context.h"
#include "models/compressed_linear.h"

namespace quantd {

inline constexpr absl::string_view kInputRotationLayout = "input-rotation.v1";

// R above.
struct InputRotation {
  int64_t block_size = 0;      // a known Hadamard order that divides the size
  std::vector<uint8_t> flips;  // one per input channel: 1 = negative sign

  int64_t size() const { return static_cast<int64_t>(flips.size()); }
};

// Signs are a function of `seed` and `size`; the block is the largest possible.
InputRotation RandomInputRotation(int64_t size, uint64_t seed);

// InvalidArgument when the block size is no Hadamard order or does not divide
// the size.
absl::Status CheckInputRotation(const InputRotation& rotation);

// x [rows, size] R and x R^T, computed in float64 and rounded once.
// REQUIRES: CheckInputRotation().
Tensor Rotate(const Tensor& x, const InputRotation& rotation,
              ExecutionContext& ctx);
Tensor RotateBack(const Tensor& x, const InputRotation& rotation,
                  ExecutionContext& ctx);

// R^T H R of a float64 matrix [size, size], in place: the second moment of
// rotated inputs.
void RotateMoment(const InputRotation& rotation, double* h,
                  ExecutionContext& ctx);

// InvalidArgument when CheckInputRotation() says so, the size is not
// base->cols(), or the layout occurs in the base already.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewInputRotation(
    std::shared_ptr<const CompressedLinear> base, InputRotation rotation);

// Bytes that the layout adds to those of its base.
inline uint64_t InputRotationBytes(int64_t cols) {
  return (static_cast<uint64_t>(cols) + 7) / 8;
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadInputRotation(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_INPUT_ROTATION_H_
