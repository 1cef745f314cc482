#include "quantizers/statistics_store.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/bounded_directory.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "models/safetensors.h"

namespace quantd {
namespace {

// Raised when equal inputs would lead to other numbers or another file.
constexpr int kVersion = 1;
constexpr char kSuffix[] = ".safetensors";
constexpr char kTokens[] = "tokens";
constexpr char kDigest[] = "digest";

template <typename T>
TensorToWrite Pack(const char* name, DType dtype, Shape shape, const T* values,
                   size_t count) {
  return {
      name, dtype, std::move(shape),
      std::string(reinterpret_cast<const char*>(values), count * sizeof(T))};
}

// H is symmetric: the rows of its upper triangle, one after the other.
std::vector<double> UpperTriangle(const SquareMatrix& h) {
  std::vector<double> upper;
  upper.reserve(static_cast<size_t>(h.n * (h.n + 1) / 2));
  for (int64_t i = 0; i < h.n; ++i) {
    for (int64_t j = i; j < h.n; ++j) upper.push_back(h.at(i, j));
  }
  return upper;
}

SquareMatrix FromUpperTriangle(int64_t n, absl::string_view bytes) {
  SquareMatrix h(n);
  const char* next = bytes.data();
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = i; j < n; ++j) {
      std::memcpy(&h.at(i, j), next, sizeof(double));
      h.at(j, i) = h.at(i, j);
      next += sizeof(double);
    }
  }
  return h;
}

// Of the tensors in order of their names.
std::string DigestOf(const std::map<std::string, absl::string_view>& parts) {
  Sha256 digest;
  for (const auto& [name, bytes] : parts) digest.Update(bytes);
  return digest.FinishHex();
}

}  // namespace

std::string StatisticsKey::Digest() const {
  return Sha256Hex(absl::StrCat("quantd-statistics.v", kVersion, "\n",
                                model_digest, "\n", calibration_digest, "\n",
                                arithmetic, "\n", request.Describe(), "\n",
                                block, " ", set, "\n"));
}

std::string StatisticsStore::PathOf(const StatisticsKey& key) const {
  return absl::StrCat(directory_, "/", key.Digest(), kSuffix);
}

std::optional<LayerStatistics> StatisticsStore::Find(const StatisticsKey& key,
                                                     int64_t cols) const {
  if (!enabled()) return std::nullopt;
  const std::string path = PathOf(key);
  const auto file = SafetensorsFile::Open(path);
  if (!file.ok()) return std::nullopt;
  const auto& tensors = (*file)->tensors();
  const auto& metadata = (*file)->metadata();
  LayerStatistics result;
  std::map<std::string, absl::string_view> parts;
  for (const auto& [name, tensor] : tensors) parts[name] = tensor.bytes;
  const auto tokens = metadata.find(kTokens);
  const auto digest = metadata.find(kDigest);
  if (tokens == metadata.end() || digest == metadata.end() ||
      !absl::SimpleAtoi(tokens->second, &result.tokens) ||
      digest->second != DigestOf(parts)) {
    return std::nullopt;
  }
  const auto part = [&](const char* name, DType dtype,
                        const Shape& shape) -> const StoredTensor* {
    const auto it = tensors.find(name);
    return it != tensors.end() && it->second.dtype == dtype &&
                   it->second.shape == shape
               ? &it->second
               : nullptr;
  };
  if (key.request.second_moment) {
    const StoredTensor* moment =
        part("second_moment", DType::kF64, {cols * (cols + 1) / 2});
    if (moment == nullptr) return std::nullopt;
    result.second_moment = FromUpperTriangle(cols, moment->bytes);
  }
  if (key.request.mean_abs) {
    const StoredTensor* mean = part("mean_abs", DType::kF32, {cols});
    if (mean == nullptr) return std::nullopt;
    result.mean_abs.resize(static_cast<size_t>(cols));
    std::memcpy(result.mean_abs.data(), mean->bytes.data(), mean->bytes.size());
  }
  if (key.request.sample_rows > 0) {
    const int64_t rows = std::min(key.request.sample_rows, result.tokens);
    const StoredTensor* sample = part("sample", DType::kF32, {rows, cols});
    if (sample == nullptr) return std::nullopt;
    result.sample = Tensor::Uninitialized({rows, cols});
    std::memcpy(result.sample.data(), sample->bytes.data(),
                sample->bytes.size());
  }
  // The age of a file is the time since its last use.
  TouchFile(path);
  return result;
}

absl::Status StatisticsStore::Put(const StatisticsKey& key,
                                  const LayerStatistics& statistics) const {
  if (!enabled()) return absl::OkStatus();
  std::vector<TensorToWrite> tensors;
  const int64_t n = statistics.second_moment.n;
  if (n > 0) {
    const std::vector<double> upper = UpperTriangle(statistics.second_moment);
    tensors.push_back(Pack("second_moment", DType::kF64, {n * (n + 1) / 2},
                           upper.data(), upper.size()));
  }
  if (!statistics.mean_abs.empty()) {
    tensors.push_back(Pack("mean_abs", DType::kF32,
                           {static_cast<int64_t>(statistics.mean_abs.size())},
                           statistics.mean_abs.data(),
                           statistics.mean_abs.size()));
  }
  if (statistics.sample.size() > 0) {
    tensors.push_back(Pack("sample", DType::kF32, statistics.sample.shape(),
                           statistics.sample.data(),
                           static_cast<size_t>(statistics.sample.size())));
  }
  uint64_t bytes = 0;
  std::map<std::string, absl::string_view> parts;
  for (const TensorToWrite& tensor : tensors) {
    bytes += tensor.bytes.size();
    parts[tensor.name] = tensor.bytes;
  }
  if (bytes > max_bytes_) return absl::OkStatus();
  RETURN_IF_ERROR(CreateDirectories(directory_));
  RETURN_IF_ERROR(WriteSafetensors(PathOf(key), tensors,
                                   {{kTokens, absl::StrCat(statistics.tokens)},
                                    {kDigest, DigestOf(parts)}}));
  DropOldestFiles(directory_, kSuffix, max_bytes_);
  return absl::OkStatus();
}

}  // namespace quantd
