#include "models/tensor_conversion.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernels/float_formats.h"

namespace quantd {
namespace {

void CopyF32(const void* src, float* dst, size_t count) {
  std::memcpy(dst, src, count * sizeof(float));
}

struct Row {
  DType dtype;
  void (*convert)(const void* src, float* dst, size_t count);
};

constexpr Row kConversions[] = {
    {DType::kF32, CopyF32},
    {DType::kF16, ConvertF16ToF32},
    {DType::kBF16, ConvertBF16ToF32},
};

}  // namespace

absl::Status ConvertToFloat(const StoredTensor& tensor, size_t byte_offset,
                            absl::Span<float> out) {
  for (const Row& row : kConversions) {
    if (row.dtype != tensor.dtype) continue;
    row.convert(tensor.bytes.data() + byte_offset, out.data(), out.size());
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("tensor ", tensor.name, ": type ", DTypeName(tensor.dtype),
                   " is not F32, F16 or BF16"));
}

}  // namespace quantd
