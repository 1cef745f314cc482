// Writes a checkpoint derived from another one, shard by shard, in Hugging
// Face layout. Everything is durable when a call returns; the bytes depend on
// the arguments only.
//
// Confined to one thread.
#ifndef QUANTD_MODELS_CHECKPOINT_WRITER_H_
#define QUANTD_MODELS_CHECKPOINT_WRITER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/checkpoint.h"
#include "models/safetensors.h"
#include "nlohmann/json_fwd.hpp"

namespace quantd {

class CheckpointWriter {
 public:
  // `directory` exists. `shards` is the number of WriteShard() calls.
  CheckpointWriter(std::string directory, const Checkpoint& source, int shards)
      : directory_(std::move(directory)), source_(source), shards_(shards) {}

  // "model-00003-of-00009.safetensors" for index 2 of 9.
  std::string ShardName(int index) const;
  std::string ShardPath(int index) const;

  // Writes shard `index`: `tensors` and, unchanged, the tensors of the source
  // named in `copied`, straight from its mapped files. NotFound when the
  // source lacks one of them.
  absl::Status WriteShard(int index, const std::vector<TensorToWrite>& tensors,
                          absl::Span<const std::string> copied) const;

  // The same with tensors made while they are written.
  absl::Status WriteShard(int index,
                          absl::Span<const TensorStream> tensors) const;

  // When all shards are there: model.safetensors.index.json from their
  // headers, config.json of the source with `quantization_config` set, and
  // copies of the source's tokenizer files.
  absl::Status Finish(const nlohmann::json& quantization_config) const;
  // The same with `config` as config.json.
  absl::Status FinishWithConfig(const nlohmann::json& config) const;

 private:
  const std::string directory_;
  const Checkpoint& source_;
  const int shards_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_CHECKPOINT_WRITER_H_
