// Layout "input-scale.v1": another layout behind a scale per input channel.
//
//   w[r, c] = base[r, c] / s[c]
//
// The base holds W diag(s), which is what was quantized: a channel with s > 1
// is rounded more finely (Lin et al., AWQ, arXiv:2306.00978, section 3.2). The
// scale stays with the layer instead of going into the operation before it, so
// that it fits every network.
//
// Tensors: those of the base, and
//   <layer>.input_scale  F16 [cols], > 0
// Header: {"layout", "base": header of the base}.
#ifndef QUANTD_MODELS_LAYOUTS_INPUT_SCALE_H_
#define QUANTD_MODELS_LAYOUTS_INPUT_SCALE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/compressed_linear.h"

namespace quantd {

inline constexpr absl::string_view kInputScaleLayout = "input-scale.v1";

// InvalidArgument when a scale is not a positive F16 value, their number is not
// base->cols(), or the layout occurs in the base already.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewInputScale(
    std::shared_ptr<const CompressedLinear> base, std::vector<float> scales);

// Bytes that the layout adds to those of its base.
inline uint64_t InputScaleBytes(int64_t cols) {
  return 2 * static_cast<uint64_t>(cols);
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadInputScale(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_INPUT_SCALE_H_
