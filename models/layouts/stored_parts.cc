#include "models/layouts/stored_parts.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/float_formats.h"
#include "nlohmann/json.hpp"

namespace quantd {

absl::StatusOr<absl::string_view> PartBytes(TensorFinder find,
                                            absl::string_view layer,
                                            absl::string_view part, DType dtype,
                                            const Shape& shape) {
  ASSIGN_OR_RETURN(const StoredTensor* tensor,
                   find(absl::StrCat(layer, ".", part)));
  if (tensor->dtype != dtype || tensor->shape != shape) {
    return absl::InvalidArgumentError(
        absl::StrCat(part, " is ", DTypeName(tensor->dtype), " ",
                     ShapeToString(tensor->shape), ", expected ",
                     DTypeName(dtype), " ", ShapeToString(shape)));
  }
  return tensor->bytes;
}

absl::StatusOr<std::vector<float>> F16Part(TensorFinder find,
                                           absl::string_view layer,
                                           absl::string_view part,
                                           const Shape& shape) {
  ASSIGN_OR_RETURN(const absl::string_view bytes,
                   PartBytes(find, layer, part, DType::kF16, shape));
  std::vector<float> values(bytes.size() / 2);
  ConvertF16ToF32(bytes.data(), values.data(), values.size());
  RETURN_IF_ERROR(CheckF16(values, part));
  return values;
}

absl::StatusOr<int64_t> HeaderInt(const nlohmann::json& header,
                                  const char* key) {
  const auto it = header.find(key);
  if (it == header.end() || !it->is_number_integer()) {
    return absl::InvalidArgumentError(
        absl::StrCat("header: ", key, " is not an integer"));
  }
  return it->get<int64_t>();
}

absl::StatusOr<bool> HeaderBool(const nlohmann::json& header, const char* key) {
  const auto it = header.find(key);
  if (it == header.end() || !it->is_boolean()) {
    return absl::InvalidArgumentError(
        absl::StrCat("header: ", key, " is not true or false"));
  }
  return it->get<bool>();
}

absl::StatusOr<std::string> HeaderString(const nlohmann::json& header,
                                         const char* key) {
  const auto it = header.find(key);
  if (it == header.end() || !it->is_string()) {
    return absl::InvalidArgumentError(
        absl::StrCat("header: ", key, " is not a string"));
  }
  return it->get<std::string>();
}

absl::Status CheckRange(absl::string_view what, int64_t value, int64_t low,
                        int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " ", value, " is not in ", low, "..", high));
}

absl::Status CheckCount(absl::string_view what, size_t count,
                        int64_t expected) {
  if (count == static_cast<size_t>(expected)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("expected ", expected, " ", what, ", got ", count));
}

absl::Status CheckBase(const CompressedLinear* base, absl::string_view layout) {
  if (base == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("nothing to wrap in ", layout));
  }
  for (const CompressedLinear* l = base; l != nullptr; l = l->base()) {
    if (l->layout() == layout) {
      return absl::InvalidArgumentError(
          absl::StrCat("layout ", layout, " occurs twice in one layer"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckF16(absl::Span<const float> values, absl::string_view what) {
  for (float value : values) {
    if (!std::isfinite(value) || F16ToF32(F32ToF16(value)) != value) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, " ", value, " is not a finite F16 value"));
    }
  }
  return absl::OkStatus();
}

TensorToWrite F16Tensor(std::string name, Shape shape,
                        absl::Span<const float> values) {
  std::string bytes(values.size() * 2, '\0');
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = F32ToF16(values[i]);
    std::memcpy(bytes.data() + 2 * i, &bits, 2);
  }
  return {std::move(name), DType::kF16, std::move(shape), std::move(bytes)};
}

TensorToWrite BytesTensor(absl::string_view layer, absl::string_view part,
                          std::string bytes) {
  const int64_t size = static_cast<int64_t>(bytes.size());
  return {absl::StrCat(layer, ".", part), DType::kU8, {size}, std::move(bytes)};
}

DType ColumnType(int64_t cols) {
  constexpr int64_t kMostU16Columns = 65536;
  return cols > kMostU16Columns ? DType::kU32 : DType::kU16;
}

}  // namespace quantd
