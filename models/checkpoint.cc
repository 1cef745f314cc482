#include "models/checkpoint.h"

#include <cmath>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "kernels/execution_context.h"
#include "models/json_text.h"
#include "models/tensor_conversion.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

using nlohmann::json;

constexpr char kConfigFile[] = "config.json";
constexpr char kWeightsFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";
constexpr uint64_t kMaxConfigBytes = UINT64_C(16) << 20;
// An index has one short line per tensor; a million experts fit.
constexpr uint64_t kMaxIndexBytes = UINT64_C(256) << 20;

constexpr absl::string_view kCompanionFiles[] = {
    "chat_template.jinja",
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
};
// Hashed between two looks at cancellation.
constexpr size_t kHashedBytes = size_t{16} << 20;
constexpr char kTokenizerFile[] = "tokenizer.json";
constexpr char kSentencePieceFile[] = "tokenizer.model";
constexpr absl::string_view kDigestedFiles[] = {kConfigFile, kTokenizerFile,
                                                "tokenizer_config.json"};

std::string Join(const std::string& directory, absl::string_view name) {
  return absl::StrCat(directory, "/", name);
}

bool Exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

// Parses a JSON object from a file; a file over the limit is broken input
// here, not a lack of resources.
absl::StatusOr<json> ReadJsonObject(const std::string& path,
                                    uint64_t max_bytes) {
  absl::StatusOr<std::string> text = ReadFile(path, max_bytes);
  if (absl::IsResourceExhausted(text.status())) {
    return absl::InvalidArgumentError(text.status().message());
  }
  RETURN_IF_ERROR(text.status());
  JsonLimits limits;
  limits.max_bytes = max_bytes;
  ASSIGN_OR_RETURN(json value, ParseJson(*text, path, limits));
  RETURN_IF_ERROR(JsonReader::Of(value, path).status());
  return value;
}

// A shard lies in the directory itself: an index must not make a job read, or
// a message reveal, a file elsewhere. (A symbolic link put there by whoever
// owns the directory is that person's choice.)
bool IsPlainFileName(absl::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         !absl::StrContains(name, '/') && !absl::StrContains(name, '\\') &&
         !absl::StrContains(name, '\0') && absl::EndsWith(name, ".safetensors");
}

// Tensor name -> shard file name.
absl::StatusOr<std::map<std::string, std::string>> ReadWeightMap(
    const std::string& path) {
  ASSIGN_OR_RETURN(const json root, ReadJsonObject(path, kMaxIndexBytes));
  ASSIGN_OR_RETURN(const JsonReader index, JsonReader::Of(root, path));
  ASSIGN_OR_RETURN(const JsonReader entries, index.GetObject("weight_map"));
  if (entries.value().empty()) {
    return index.Fault("weight_map", "names no tensor");
  }
  std::map<std::string, std::string> weight_map;
  for (const auto& [tensor, shard] : entries.value().items()) {
    if (!shard.is_string()) {
      return entries.Fault(
          Quoted(tensor),
          absl::StrCat("expected a file name, got ", DescribeJson(shard)));
    }
    const std::string& name = shard.get_ref<const std::string&>();
    if (!IsPlainFileName(name)) {
      return entries.Fault(
          Quoted(tensor),
          absl::StrCat(Quoted(name),
                       " is not the name of a .safetensors file in this "
                       "directory"));
    }
    weight_map.emplace(tensor, name);
  }
  return weight_map;
}

// Length before content, so that moving bytes from one part to the next
// changes the digest.
void DigestPart(absl::string_view name, absl::string_view content,
                Sha256* hash) {
  hash->Update(absl::StrCat(name, "\n", content.size(), "\n"));
  hash->Update(content);
}

absl::StatusOr<std::string> HeaderDigestOf(
    const std::string& directory,
    const std::vector<std::unique_ptr<SafetensorsFile>>& files) {
  Sha256 hash;
  for (const absl::string_view name : kDigestedFiles) {
    const std::string path = Join(directory, name);
    if (!Exists(path)) continue;
    ASSIGN_OR_RETURN(const std::string content, ReadFile(path));
    DigestPart(name, content, &hash);
  }
  // Beside a tokenizer.json it is not used.
  if (const std::string path = Join(directory, kSentencePieceFile);
      !Exists(Join(directory, kTokenizerFile)) && Exists(path)) {
    ASSIGN_OR_RETURN(const std::string content, ReadFile(path));
    DigestPart(kSentencePieceFile, content, &hash);
  }
  for (const auto& file : files) {
    const std::string name = std::filesystem::path(file->path()).filename();
    DigestPart(absl::StrCat(name, "\n", file->size_bytes()), file->header(),
               &hash);
  }
  return hash.FinishHex();
}

}  // namespace

Checkpoint::Checkpoint() = default;
Checkpoint::~Checkpoint() = default;

absl::StatusOr<std::shared_ptr<const Checkpoint>> Checkpoint::Open(
    const std::string& directory) {
  std::shared_ptr<Checkpoint> checkpoint(new Checkpoint);
  checkpoint->directory_ = directory;
  ASSIGN_OR_RETURN(json config, ReadJsonObject(Join(directory, kConfigFile),
                                               kMaxConfigBytes));
  checkpoint->config_ = std::make_unique<json>(std::move(config));

  // One file wins over an index beside it, as in the reference loader.
  std::map<std::string, std::string> weight_map;
  std::set<std::string> names;
  const std::string index_path = Join(directory, kIndexFile);
  if (Exists(Join(directory, kWeightsFile))) {
    names.insert(kWeightsFile);
  } else if (Exists(index_path)) {
    ASSIGN_OR_RETURN(weight_map, ReadWeightMap(index_path));
    for (const auto& [tensor, shard] : weight_map) names.insert(shard);
  } else {
    return absl::NotFoundError(absl::StrCat(directory, ": neither ",
                                            kWeightsFile, " nor ", kIndexFile));
  }

  for (const std::string& name : names) {
    auto file = SafetensorsFile::Open(Join(directory, name));
    if (absl::IsNotFound(file.status())) {
      return absl::InvalidArgumentError(absl::StrCat(
          index_path, ": weight_map: ", Quoted(name), " is missing"));
    }
    RETURN_IF_ERROR(file.status());
    for (const auto& [tensor_name, tensor] : (*file)->tensors()) {
      const auto [place, is_new] =
          checkpoint->tensors_.emplace(tensor_name, &tensor);
      if (!is_new) {
        return absl::InvalidArgumentError(absl::StrCat(
            index_path, ": ", Quoted(tensor_name), " is in two shards, ",
            Quoted(std::string(
                std::filesystem::path(checkpoint->file_of_[tensor_name]->path())
                    .filename())),
            " and ", Quoted(name)));
      }
      checkpoint->file_of_[tensor_name] = file->get();
      checkpoint->parameter_count_ +=
          static_cast<uint64_t>(ElementCount(tensor.shape));
      checkpoint->tensor_bytes_ += tensor.bytes.size();
    }
    checkpoint->files_.push_back(*std::move(file));
  }
  for (const auto& [tensor_name, shard] : weight_map) {
    const auto file = checkpoint->file_of_.find(tensor_name);
    if (file == checkpoint->file_of_.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(index_path, ": weight_map: ", Quoted(tensor_name),
                       " is not in ", Quoted(shard)));
    }
    const std::string actual =
        std::filesystem::path(file->second->path()).filename();
    if (actual != shard) {
      return absl::InvalidArgumentError(absl::StrCat(
          index_path, ": weight_map: ", Quoted(tensor_name), " is placed in ",
          Quoted(shard), " but lies in ", Quoted(actual)));
    }
  }
  ASSIGN_OR_RETURN(checkpoint->header_digest_,
                   HeaderDigestOf(directory, checkpoint->files_));
  return std::shared_ptr<const Checkpoint>(std::move(checkpoint));
}

bool Checkpoint::Has(absl::string_view name) const {
  return tensors_.count(std::string(name)) != 0;
}

absl::StatusOr<const StoredTensor*> Checkpoint::Find(
    absl::string_view name) const {
  const auto place = tensors_.find(std::string(name));
  if (place == tensors_.end()) {
    return absl::NotFoundError(
        absl::StrCat(directory_, ": no tensor ", Quoted(name)));
  }
  return place->second;
}

absl::StatusOr<Tensor> Checkpoint::LoadFloat(
    absl::string_view name, absl::Span<const int64_t> expected) const {
  ASSIGN_OR_RETURN(const StoredTensor* stored, Find(name));
  if (absl::MakeConstSpan(stored->shape) != expected) {
    return absl::InvalidArgumentError(absl::StrCat(
        directory_, ": ", Quoted(name), ": shape ",
        ShapeToString(stored->shape), ", expected ", ShapeToString(expected)));
  }
  Tensor tensor = Tensor::Uninitialized(stored->shape);
  RETURN_IF_ERROR(
      Annotate(ConvertToFloat(*stored, 0, tensor.values()), directory_));
  Release(*stored);
  const absl::Span<const float> values = tensor.values();
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return absl::InvalidArgumentError(
          absl::StrCat(directory_, ": ", Quoted(name), ": element ", i, " is ",
                       std::isnan(values[i]) ? "NaN" : "infinite"));
    }
  }
  return tensor;
}

void Checkpoint::Release(const StoredTensor& tensor) const {
  file_of_.at(tensor.name)->Release(tensor);
}

absl::StatusOr<std::string> Checkpoint::ContentDigest(
    ExecutionContext& ctx) const {
  absl::MutexLock lock(&content_mutex_);
  if (!content_digest_.empty()) return content_digest_;
  std::vector<const StoredTensor*> tensors;
  for (const auto& [name, tensor] : tensors_) tensors.push_back(tensor);
  std::vector<std::string> digests(tensors.size());
  ctx.device().pool().ParallelFor(
      static_cast<int64_t>(tensors.size()), [&](int64_t i) {
        const StoredTensor& tensor = *tensors[static_cast<size_t>(i)];
        Sha256 hash;
        for (size_t at = 0; at < tensor.bytes.size(); at += kHashedBytes) {
          if (!ctx.CheckCancelled().ok()) return;
          hash.Update(tensor.bytes.substr(at, kHashedBytes));
        }
        Release(tensor);
        digests[static_cast<size_t>(i)] = hash.FinishHex();
      });
  RETURN_IF_ERROR(ctx.CheckCancelled());
  Sha256 hash;
  hash.Update(header_digest_);
  for (size_t i = 0; i < tensors.size(); ++i) {
    DigestPart(tensors[i]->name, digests[i], &hash);
  }
  content_digest_ = hash.FinishHex();
  return content_digest_;
}

std::vector<std::string> Checkpoint::CompanionFiles() const {
  std::vector<std::string> found;
  for (const absl::string_view name : kCompanionFiles) {
    if (Exists(Join(directory_, name))) found.emplace_back(name);
  }
  return found;
}

}  // namespace quantd
