// The input is a layer as JSON, then, after a NUL byte, the bytes of its
// tensors one after the other, continued with zeros:
//   {"header": {...}, "rows": 2, "cols": 8,
//    "parts": [["codes", "U8", [2, 4]], ...]}
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/compressed_linear.h"
#include "nlohmann/json.hpp"
#include "tests/fuzz/fuzz_checks.h"

namespace {

using quantd::test::FuzzCheck;

// The checkpoint's reader has checked shapes against bytes by then; what is
// too large to be worth a fuzzer's time is left out.
constexpr int64_t kMostElements = 1 << 14;

bool ReadExtent(const nlohmann::json& json, int64_t* extent) {
  if (!json.is_number_integer()) return false;
  *extent = json.get<int64_t>();
  return *extent >= 0 && *extent <= kMostElements;
}

class Layer {
 public:
  // False when the description is not one.
  bool Parse(const nlohmann::json& json, absl::string_view bytes) {
    if (!json.is_object() || !json.contains("header") ||
        !json["header"].is_object() || !json.contains("rows") ||
        !json.contains("cols") || !json.contains("parts") ||
        !json["parts"].is_array() || !ReadExtent(json["rows"], &rows_) ||
        !ReadExtent(json["cols"], &cols_) || rows_ < 1 || cols_ < 1 ||
        rows_ * cols_ > kMostElements) {
      return false;
    }
    header_ = json["header"];
    for (const auto& part : json["parts"]) {
      if (!AddPart(part, &bytes)) return false;
    }
    return true;
  }

  absl::StatusOr<std::shared_ptr<const quantd::CompressedLinear>> Load() const {
    return quantd::LoadCompressedLinear(
        [&](absl::string_view name)
            -> absl::StatusOr<const quantd::StoredTensor*> {
          const auto it = tensors_.find(std::string(name));
          if (it == tensors_.end()) {
            return absl::InvalidArgumentError("a tensor is missing");
          }
          return &it->second;
        },
        "l", header_, rows_, cols_);
  }

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }

 private:
  bool AddPart(const nlohmann::json& part, absl::string_view* bytes) {
    if (!part.is_array() || part.size() != 3 || !part[0].is_string() ||
        !part[1].is_string() || !part[2].is_array()) {
      return false;
    }
    const auto dtype = quantd::DTypeFromName(part[1].get<std::string>());
    if (!dtype.has_value()) return false;
    quantd::Shape shape;
    int64_t count = 1;
    for (const auto& extent : part[2]) {
      shape.push_back(0);
      if (!ReadExtent(extent, &shape.back())) return false;
      count *= shape.back();
      if (count > kMostElements) return false;
    }
    // In a block of its own, so that a sanitizer sees a read past the end.
    std::vector<char>& content = contents_.emplace_back(
        static_cast<size_t>(count) * quantd::DTypeSize(*dtype));
    const size_t given = std::min(bytes->size(), content.size());
    if (given > 0) std::memcpy(content.data(), bytes->data(), given);
    bytes->remove_prefix(given);
    const std::string name = absl::StrCat("l.", part[0].get<std::string>());
    tensors_[name] = {name, *dtype, shape, {content.data(), content.size()}};
    return true;
  }

  int64_t rows_ = 0;
  int64_t cols_ = 0;
  nlohmann::json header_;
  std::vector<std::vector<char>> contents_;
  std::map<std::string, quantd::StoredTensor> tensors_;
};

// Bit patterns, because a sum of a base and a part may be NaN for a reason.
bool SameBits(const quantd::Tensor& a, const quantd::Tensor& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(),
                     static_cast<size_t>(a.size()) * sizeof(float)) == 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\0'), input.size());
  const nlohmann::json json =
      nlohmann::json::parse(input.substr(0, end), nullptr, false);
  Layer layer;
  if (!layer.Parse(json, input.substr(std::min(end + 1, input.size())))) {
    return 0;
  }
  const auto linear = layer.Load();
  if (!linear.ok()) {
    quantd::test::CheckRefusal(linear.status());
    return 0;
  }
  static quantd::Device& device = *quantd::NewReferenceDevice().release();
  quantd::ExecutionContext ctx(&device);
  const quantd::Tensor decoded = (*linear)->Decode(ctx);
  FuzzCheck(decoded.rows() == layer.rows() && decoded.cols() == layer.cols(),
            "a layer has the shape it was asked for");
  std::vector<quantd::TensorToWrite> tensors;
  const nlohmann::json header = (*linear)->Save("l", &tensors);
  std::map<std::string, quantd::StoredTensor> stored;
  uint64_t bytes = 0;
  for (const quantd::TensorToWrite& t : tensors) {
    stored[t.name] = {t.name, t.dtype, t.shape, t.bytes};
    bytes += t.bytes.size();
  }
  FuzzCheck((*linear)->stored_bits() == 8 * bytes, "every stored bit counts");
  const auto again = quantd::LoadCompressedLinear(
      [&](absl::string_view name)
          -> absl::StatusOr<const quantd::StoredTensor*> {
        return &stored.at(std::string(name));
      },
      "l", header, layer.rows(), layer.cols());
  FuzzCheck(again.ok(), "what was saved can be loaded");
  FuzzCheck(SameBits(decoded, (*again)->Decode(ctx)),
            "saving changes no weight");
  return 0;
}
