// Element types of stored and computed tensors.
#ifndef QUANTD_TENSOR_DTYPE_H_
#define QUANTD_TENSOR_DTYPE_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace quantd {

enum class DType : uint8_t {
  kBool,
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kU64,
  kI64,
  kF16,   // IEEE 754 binary16
  kBF16,  // upper half of binary32
  kF32,
  kF64,
  kF8E4M3,
  kF8E5M2,
};

// Bytes of one element.
size_t DTypeSize(DType dtype);

// The name safetensors uses: "F32", "BF16", "I64", ...
absl::string_view DTypeName(DType dtype);
std::optional<DType> DTypeFromName(absl::string_view name);

// All of the above, for tests.
absl::Span<const DType> AllDTypes();

}  // namespace quantd

#endif  // QUANTD_TENSOR_DTYPE_H_
