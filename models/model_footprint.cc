#include "models/model_footprint.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "models/network/block_plan.h"
#include "models/network/tensor_loader.h"
#include "tensor/dtype.h"

namespace quantd {
namespace {

uint64_t Bytes(int64_t floats) {
  return static_cast<uint64_t>(floats) * sizeof(float);
}

uint64_t StoredBytes(const Checkpoint& checkpoint, const std::string& name) {
  const auto tensor = checkpoint.Find(StoredName(checkpoint, name));
  return tensor.ok() ? (*tensor)->bytes.size() : 0;
}

// Floats that the mixer holds per token, its result included.
int64_t MixerFloats(const ModelDescription& model) {
  const BlockDescription& block = model.block;
  const int64_t hidden = model.hidden_size;
  if (block.mixer == BlockDescription::Mixer::kStateSpace) {
    // Both halves of the input product, the gate, the convolved input, the
    // step, the scan's result and its gated form.
    return 7 * int64_t{block.state_space.channels};
  }
  const AttentionDescription& attention = block.attention;
  const int64_t queries = int64_t{attention.heads} * attention.head_dim;
  const int64_t keys = int64_t{attention.kv_heads} * attention.head_dim;
  // Queries and what attention makes of them, keys, values; then the rotated
  // copy of the queries or the fused product they were cut from, or the
  // output.
  const int64_t held = 2 * queries + 2 * keys;
  return attention.fused.present()
             ? std::max(held + hidden, 2 * (queries + 2 * keys))
             : held + hidden;
}

// The same for the feed-forward part, without its result.
int64_t FeedForwardFloats(const ModelDescription& model) {
  const FeedForwardDescription& part = model.block.feed_forward;
  const int64_t inner = part.intermediate_size;
  // Factors and product; for one fused layer both halves are cut out first.
  int64_t floats = part.gate_up.present() ? 5 * inner
                   : part.gate.present()  ? 3 * inner
                                          : 2 * inner;
  // An expert's input, and the sum over experts.
  if (part.experts > 0) floats += 2 * int64_t{model.hidden_size};
  return floats;
}

}  // namespace

ModelFootprint FootprintOf(const Checkpoint& checkpoint,
                           const ModelDescription& description) {
  ModelFootprint footprint;
  footprint.description = description;
  for (const TensorPlan& tensor : PlanOuterTensors(description)) {
    footprint.outer_bytes += StoredBytes(checkpoint, tensor.name);
  }
  const BlockPlan plan = PlanBlock(description, 0);
  for (const std::string& name : StoredNamesOfOthers(checkpoint, plan)) {
    footprint.other_bytes += StoredBytes(checkpoint, name);
  }
  for (const LinearPlan& linear : plan.linears) {
    const auto weight = checkpoint.Find(linear.name + ".weight");
    if (weight.ok()) footprint.weight_bytes = DTypeSize((*weight)->dtype);
    // All tensors of a compressed layer begin with its name.
    const std::string prefix = linear.name + ".";
    for (auto it = checkpoint.tensors().lower_bound(prefix);
         it != checkpoint.tensors().end() &&
         it->first.compare(0, prefix.size(), prefix) == 0;
         ++it) {
      if (it->first == prefix + "weight" || it->first == prefix + "bias") {
        continue;
      }
      footprint.compressed_bytes += it->second->bytes.size();
    }
  }
  for (const std::string& name : checkpoint.CompanionFiles()) {
    std::error_code error;
    const uint64_t bytes = std::filesystem::file_size(
        absl::StrCat(checkpoint.directory(), "/", name), error);
    if (error) continue;
    footprint.companion_bytes += bytes;
    if (name == "tokenizer.json") footprint.tokenizer_bytes = bytes;
  }
  return footprint;
}

uint64_t FloatBlockBytes(const ModelDescription& description) {
  const BlockPlan plan = PlanBlock(description, 0);
  uint64_t bytes = 0;
  for (const LinearPlan& linear : plan.linears) {
    bytes += Bytes(linear.rows * linear.cols);
    if (linear.bias) bytes += Bytes(linear.rows);
  }
  for (const TensorPlan& tensor : plan.tensors) {
    bytes += Bytes(ElementCount(tensor.shape));
  }
  return bytes;
}

uint64_t FloatHeadBytes(const ModelDescription& description) {
  return Bytes(int64_t{description.vocabulary_size} *
               description.embedding.width);
}

uint64_t ForwardBytes(const ModelDescription& description, int64_t rows) {
  const int64_t hidden = description.hidden_size;
  // Beside the part at work: its normalised input; for the second part also
  // the first one's result and the sum of both (decoder_block.cc).
  const int64_t mixing = hidden + MixerFloats(description);
  const int64_t feeding = description.block.has_feed_forward
                              ? 3 * hidden + FeedForwardFloats(description)
                              : 3 * hidden;
  return Bytes(rows * std::max({mixing, feeding, 4 * hidden}));
}

double ForwardFlops(const ModelDescription& description, int64_t tokens) {
  const BlockPlan plan = PlanBlock(description, 0);
  const FeedForwardDescription& part = description.block.feed_forward;
  double flops = 0;
  for (size_t i = 0; i < plan.linears.size(); ++i) {
    const LinearPlan& linear = plan.linears[i];
    double own = 2.0 * static_cast<double>(linear.rows * linear.cols);
    // Every token runs through a few of the experts.
    if (part.experts > 0 &&
        linear.name.find("." + part.experts_name + ".") != std::string::npos) {
      own *= static_cast<double>(part.experts_per_token) / part.experts;
    }
    flops += own;
  }
  if (description.block.mixer == BlockDescription::Mixer::kAttention) {
    const AttentionDescription& attention = description.block.attention;
    // Scores and their sums over the visible half of the window.
    flops += 2.0 * attention.heads * attention.head_dim *
             static_cast<double>(tokens);
  }
  return flops;
}

}  // namespace quantd
