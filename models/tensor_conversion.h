// Stored tensors to float32.
#ifndef QUANTD_MODELS_TENSOR_CONVERSION_H_
#define QUANTD_MODELS_TENSOR_CONVERSION_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "models/safetensors.h"

namespace quantd {

// Converts out.size() consecutive elements of an F32, F16 or BF16 tensor,
// beginning at byte `byte_offset` of its bytes. InvalidArgument names the
// tensor when it has another type. REQUIRES: the elements lie in the tensor.
absl::Status ConvertToFloat(const StoredTensor& tensor, size_t byte_offset,
                            absl::Span<float> out);

}  // namespace quantd

#endif  // QUANTD_MODELS_TENSOR_CONVERSION_H_
