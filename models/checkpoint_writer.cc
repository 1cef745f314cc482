#include "models/checkpoint_writer.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace quantd {

std::string CheckpointWriter::ShardName(int index) const {
  return absl::StrFormat("model-%05d-of-%05d.safetensors", index + 1, shards_);
}

std::string CheckpointWriter::ShardPath(int index) const {
  return absl::StrCat(directory_, "/", ShardName(index));
}

absl::Status CheckpointWriter::WriteShard(
    int index, const std::vector<TensorToWrite>& tensors,
    absl::Span<const std::string> copied) const {
  std::vector<StoredTensor> all;
  for (const TensorToWrite& tensor : tensors) {
    all.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.bytes});
  }
  std::vector<const StoredTensor*> mapped;
  for (const std::string& name : copied) {
    ASSIGN_OR_RETURN(const StoredTensor* stored, source_.Find(name));
    mapped.push_back(stored);
    all.push_back(*stored);
  }
  const absl::Status status =
      WriteStoredTensors(ShardPath(index), all, {{"format", "pt"}});
  for (const StoredTensor* stored : mapped) source_.Release(*stored);
  return status;
}

absl::Status CheckpointWriter::WriteShard(
    int index, absl::Span<const TensorStream> tensors) const {
  return WriteTensorStreams(ShardPath(index), tensors, {{"format", "pt"}});
}

absl::Status CheckpointWriter::Finish(
    const nlohmann::json& quantization_config) const {
  nlohmann::json config = source_.config();
  config["quantization_config"] = quantization_config;
  return FinishWithConfig(config);
}

absl::Status CheckpointWriter::FinishWithConfig(
    const nlohmann::json& config) const {
  nlohmann::json weight_map = nlohmann::json::object();
  uint64_t total = 0;
  for (int i = 0; i < shards_; ++i) {
    ASSIGN_OR_RETURN(const auto shard, SafetensorsFile::Open(ShardPath(i)));
    for (const auto& [name, tensor] : shard->tensors()) {
      weight_map[name] = ShardName(i);
      total += tensor.bytes.size();
    }
  }
  const nlohmann::json index = {{"metadata", {{"total_size", total}}},
                                {"weight_map", weight_map}};
  RETURN_IF_ERROR(WriteFileDurably(
      absl::StrCat(directory_, "/model.safetensors.index.json"),
      index.dump(2) + "\n"));

  RETURN_IF_ERROR(WriteFileDurably(absl::StrCat(directory_, "/config.json"),
                                   config.dump(2) + "\n"));
  for (const std::string& file : source_.CompanionFiles()) {
    ASSIGN_OR_RETURN(const std::string content,
                     ReadFile(absl::StrCat(source_.directory(), "/", file)));
    RETURN_IF_ERROR(
        WriteFileDurably(absl::StrCat(directory_, "/", file), content));
  }
  return absl::OkStatus();
}

}  // namespace quantd
