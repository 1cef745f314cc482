#include "tensor/dtype.h"

namespace quantd {
namespace {

struct Row {
  DType dtype;
  absl::string_view name;
  size_t size;
};

// In enum order: DTypeSize() and DTypeName() index it.
constexpr Row kRows[] = {
    {DType::kBool, "BOOL", 1},      {DType::kU8, "U8", 1},
    {DType::kI8, "I8", 1},          {DType::kU16, "U16", 2},
    {DType::kI16, "I16", 2},        {DType::kU32, "U32", 4},
    {DType::kI32, "I32", 4},        {DType::kU64, "U64", 8},
    {DType::kI64, "I64", 8},        {DType::kF16, "F16", 2},
    {DType::kBF16, "BF16", 2},      {DType::kF32, "F32", 4},
    {DType::kF64, "F64", 8},        {DType::kF8E4M3, "F8_E4M3", 1},
    {DType::kF8E5M2, "F8_E5M2", 1},
};

constexpr bool InEnumOrder() {
  for (size_t i = 0; i < std::size(kRows); ++i) {
    if (static_cast<size_t>(kRows[i].dtype) != i) return false;
  }
  return true;
}
static_assert(InEnumOrder());

constexpr DType kAll[] = {
    DType::kBool, DType::kU8,  DType::kI8,  DType::kU16,    DType::kI16,
    DType::kU32,  DType::kI32, DType::kU64, DType::kI64,    DType::kF16,
    DType::kBF16, DType::kF32, DType::kF64, DType::kF8E4M3, DType::kF8E5M2,
};
static_assert(std::size(kAll) == std::size(kRows));

}  // namespace

size_t DTypeSize(DType dtype) { return kRows[static_cast<size_t>(dtype)].size; }

absl::string_view DTypeName(DType dtype) {
  return kRows[static_cast<size_t>(dtype)].name;
}

std::optional<DType> DTypeFromName(absl::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

absl::Span<const DType> AllDTypes() { return kAll; }

}  // namespace quantd
