// A model directory in Hugging Face layout: config.json, model.safetensors or
// model.safetensors.index.json with its shards, tokenizer.json. Opening reads
// headers only; weights are memory-mapped and converted when asked for.
//
//   ASSIGN_OR_RETURN(auto checkpoint, Checkpoint::Open(directory));
//   ASSIGN_OR_RETURN(Tensor w, checkpoint->LoadFloat(
//       "model.layers.0.mlp.up_proj.weight", {768, 256}));
//
// Thread-safe after Open().
#ifndef QUANTD_MODELS_CHECKPOINT_H_
#define QUANTD_MODELS_CHECKPOINT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "models/safetensors.h"
#include "nlohmann/json_fwd.hpp"
#include "tensor/tensor.h"

namespace quantd {

class ExecutionContext;

class Checkpoint {
 public:
  // NotFound names the missing file; InvalidArgument the broken one and its
  // fault (bad JSON, a shard that the index names but that is absent, a tensor
  // the index places in the wrong shard, a tensor in two shards, a shard path
  // that leaves the directory).
  static absl::StatusOr<std::shared_ptr<const Checkpoint>> Open(
      const std::string& directory);
  ~Checkpoint();

  const std::string& directory() const { return directory_; }

  // The parsed config.json; always an object.
  const nlohmann::json& config() const { return *config_; }

  // All tensors by name.
  const std::map<std::string, const StoredTensor*>& tensors() const {
    return tensors_;
  }
  bool Has(absl::string_view name) const;

  // NotFound names the tensor and the directory.
  absl::StatusOr<const StoredTensor*> Find(absl::string_view name) const;

  // A float32 copy. F32, F16 and BF16 are converted; another type is
  // InvalidArgument. A shape other than `expected` is InvalidArgument naming
  // both. NaN or infinity in the weights is InvalidArgument naming the
  // tensor. The mapped pages are released afterwards.
  absl::StatusOr<Tensor> LoadFloat(absl::string_view name,
                                   absl::Span<const int64_t> expected) const;

  // Lets the mapped pages of a tensor go, as LoadFloat() does; they are read
  // again on the next access. REQUIRES: one of tensors().
  void Release(const StoredTensor& tensor) const;

  // Sum of elements and bytes over all tensors.
  uint64_t parameter_count() const { return parameter_count_; }
  uint64_t tensor_bytes() const { return tensor_bytes_; }

  // SHA-256 over config.json, tokenizer.json (or else tokenizer.model),
  // tokenizer_config.json and, per safetensors file, its name, size and
  // header: cheap, and tells a model of another shape. Two models trained from
  // one, or compressed alike, may have the same: what is computed from weights
  // goes by ContentDigest().
  const std::string& header_digest() const { return header_digest_; }

  // SHA-256 over header_digest() and the bytes of all tensors: who has the same
  // is the same network. Reads every file on the first call, and lets the pages
  // go. Cancelled soon after the context is. Thread-safe.
  absl::StatusOr<std::string> ContentDigest(ExecutionContext& ctx) const;

  // Relative paths of the tokenizer and generation files that belong into a
  // derived checkpoint: those of tokenizer.json, tokenizer_config.json,
  // special_tokens_map.json, tokenizer.model, vocab.json, merges.txt,
  // generation_config.json, chat_template.jinja that exist.
  std::vector<std::string> CompanionFiles() const;

 private:
  Checkpoint();

  std::string directory_;
  std::unique_ptr<nlohmann::json> config_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, const StoredTensor*> tensors_;
  std::map<std::string, const SafetensorsFile*> file_of_;
  uint64_t parameter_count_ = 0;
  uint64_t tensor_bytes_ = 0;
  std::string header_digest_;
  mutable absl::Mutex content_mutex_;
  mutable std::string content_digest_ ABSL_GUARDED_BY(content_mutex_);
};

}  // namespace quantd

#endif  // QUANTD_MODELS_CHECKPOINT_H_
