#include "tests/large/large_checkpoint.h"

#include <errno.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "kernels/float_formats.h"
#include "nlohmann/json.hpp"
#include "tests/testing/small_tokenizer.h"

namespace quantd::test {
namespace {

constexpr size_t kChunkValues = size_t{1} << 20;

// Quantiles of a normal-like distribution as bfloat16, so that a random
// weight is one look-up: the sum of four uniform values, tabulated.
class WeightTable {
 public:
  explicit WeightTable(float spread) : values_(size_t{1} << 16) {
    std::mt19937_64 engine(99);
    for (uint16_t& value : values_) {
      double sum = 0;
      for (int i = 0; i < 4; ++i) {
        sum += static_cast<double>(engine() >> 11) * 0x1p-53 - 0.5;
      }
      value = F32ToBF16(static_cast<float>(sum * std::sqrt(3.0) * spread));
    }
  }
  uint16_t operator[](uint16_t index) const { return values_[index]; }

 private:
  std::vector<uint16_t> values_;
};

struct TensorEntry {
  std::string name;
  std::vector<int64_t> shape;
  bool norm = false;  // all ones

  uint64_t values() const {
    uint64_t count = 1;
    for (int64_t extent : shape) count *= static_cast<uint64_t>(extent);
    return count;
  }
};

std::vector<TensorEntry> Tensors(const LargeCheckpointOptions& o) {
  const int64_t hidden = o.hidden;
  const int64_t inner = o.intermediate;
  const int64_t keys = hidden / o.heads * o.kv_heads;
  std::vector<TensorEntry> tensors = {
      {"model.embed_tokens.weight", {o.vocabulary, hidden}}};
  for (int k = 0; k < o.blocks; ++k) {
    const std::string block = absl::StrCat("model.layers.", k, ".");
    tensors.insert(
        tensors.end(),
        {{block + "input_layernorm.weight", {hidden}, true},
         {block + "self_attn.q_proj.weight", {hidden, hidden}},
         {block + "self_attn.k_proj.weight", {keys, hidden}},
         {block + "self_attn.v_proj.weight", {keys, hidden}},
         {block + "self_attn.o_proj.weight", {hidden, hidden}},
         {block + "post_attention_layernorm.weight", {hidden}, true},
         {block + "mlp.gate_proj.weight", {inner, hidden}},
         {block + "mlp.up_proj.weight", {inner, hidden}},
         {block + "mlp.down_proj.weight", {hidden, inner}}});
  }
  tensors.push_back({"model.norm.weight", {hidden}, true});
  tensors.push_back({"lm_head.weight", {o.vocabulary, hidden}});
  return tensors;
}

// One safetensors file, written front to back.
class ShardWriter {
 public:
  explicit ShardWriter(std::string path) : path_(std::move(path)) {}

  absl::Status Write(const std::vector<TensorEntry>& tensors,
                     const WeightTable& table, std::mt19937_64* engine) {
    file_.reset(std::fopen(path_.c_str(), "wb"));
    if (file_ == nullptr) return ErrnoToStatus(errno, "create", path_);
    nlohmann::ordered_json header;
    uint64_t offset = 0;
    for (const TensorEntry& tensor : tensors) {
      const uint64_t end = offset + 2 * tensor.values();
      header[tensor.name] = {{"dtype", "BF16"},
                             {"shape", tensor.shape},
                             {"data_offsets", {offset, end}}};
      offset = end;
    }
    std::string text = header.dump();
    while (text.size() % 8 != 0) text += ' ';
    const uint64_t length = text.size();
    RETURN_IF_ERROR(Put(&length, sizeof(length)));
    RETURN_IF_ERROR(Put(text.data(), text.size()));
    std::vector<uint16_t> chunk(kChunkValues);
    for (const TensorEntry& tensor : tensors) {
      uint64_t left = tensor.values();
      while (left > 0) {
        const size_t count =
            static_cast<size_t>(std::min<uint64_t>(left, kChunkValues));
        Fill(tensor, table, engine, count, &chunk);
        RETURN_IF_ERROR(Put(chunk.data(), 2 * count));
        left -= count;
      }
    }
    if (std::fclose(file_.release()) != 0) {
      return ErrnoToStatus(errno, "close", path_);
    }
    return absl::OkStatus();
  }

 private:
  static void Fill(const TensorEntry& tensor, const WeightTable& table,
                   std::mt19937_64* engine, size_t count,
                   std::vector<uint16_t>* chunk) {
    if (tensor.norm) {
      std::fill_n(chunk->begin(), count, F32ToBF16(1.0f));
      return;
    }
    for (size_t i = 0; i < count; i += 4) {
      const uint64_t bits = (*engine)();
      for (size_t j = 0; j < 4 && i + j < count; ++j) {
        (*chunk)[i + j] = table[static_cast<uint16_t>(bits >> (16 * j))];
      }
    }
  }

  absl::Status Put(const void* data, size_t size) {
    if (std::fwrite(data, 1, size, file_.get()) == size) {
      return absl::OkStatus();
    }
    return ErrnoToStatus(errno, "write", path_);
  }

  struct Close {
    void operator()(FILE* file) const { std::fclose(file); }
  };
  const std::string path_;
  std::unique_ptr<FILE, Close> file_;
};

}  // namespace

absl::Status WriteLargeCheckpoint(const std::string& directory,
                                  const LargeCheckpointOptions& o) {
  RETURN_IF_ERROR(CreateDirectories(directory));
  const std::vector<TensorEntry> tensors = Tensors(o);
  uint64_t total = 0;
  for (const TensorEntry& tensor : tensors) total += 2 * tensor.values();
  const WeightTable table(1.0f / std::sqrt(static_cast<float>(o.hidden)));
  std::mt19937_64 engine(o.seed);
  nlohmann::json weight_map = nlohmann::json::object();
  size_t next = 0;
  uint64_t written = 0;
  for (int shard = 0; shard < o.shards; ++shard) {
    const std::string name = absl::StrFormat(
        "model-%05d-of-%05d.safetensors", shard + 1, o.shards);
    const uint64_t goal = total / static_cast<uint64_t>(o.shards) *
                          static_cast<uint64_t>(shard + 1);
    std::vector<TensorEntry> own;
    while (next < tensors.size() &&
           (written < goal || shard + 1 == o.shards)) {
      written += 2 * tensors[next].values();
      weight_map[tensors[next].name] = name;
      own.push_back(tensors[next++]);
    }
    RETURN_IF_ERROR(
        ShardWriter(directory + "/" + name).Write(own, table, &engine));
  }
  const nlohmann::json index = {{"metadata", {{"total_size", total}}},
                                {"weight_map", weight_map}};
  RETURN_IF_ERROR(WriteFileDurably(directory + "/model.safetensors.index.json",
                                   index.dump()));
  RETURN_IF_ERROR(
      WriteFileDurably(directory + "/tokenizer.json", SmallTokenizer().dump()));
  const nlohmann::json config = {{"architectures", {"LlamaForCausalLM"}},
                                 {"model_type", "llama"},
                                 {"torch_dtype", "bfloat16"},
                                 {"vocab_size", o.vocabulary},
                                 {"hidden_size", o.hidden},
                                 {"intermediate_size", o.intermediate},
                                 {"num_hidden_layers", o.blocks},
                                 {"num_attention_heads", o.heads},
                                 {"num_key_value_heads", o.kv_heads},
                                 {"hidden_act", "silu"},
                                 {"max_position_embeddings", o.context},
                                 {"rms_norm_eps", 1e-5},
                                 {"rope_theta", 10000.0},
                                 {"tie_word_embeddings", false}};
  // Last: a directory with a config is complete.
  return WriteFileDurably(directory + "/config.json", config.dump(1));
}

std::string LargeText(size_t count, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::string text(count, ' ');
  for (char& c : text) {
    const uint64_t draw = engine() % 31;
    if (draw < 26) c = static_cast<char>('a' + draw);
  }
  return text;
}

}  // namespace quantd::test
