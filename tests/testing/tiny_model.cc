#include "tests/testing/tiny_model.h"

#include <cmath>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gtest/gtest.h"
#include "kernels/float_formats.h"
#include "nlohmann/json.hpp"
#include "tests/testing/small_tokenizer.h"

namespace quantd::test {
namespace {

// Normal-like values from the engine's raw bits, because the standard's
// distributions differ between libraries.
class Values {
 public:
  explicit Values(uint64_t seed) : engine_(seed) {}
  float Next(float spread) {
    double sum = 0;
    for (int i = 0; i < 4; ++i) {
      sum += static_cast<double>(engine_() >> 11) * 0x1p-53 - 0.5;
    }
    return static_cast<float>(sum * std::sqrt(3.0) * spread);
  }

 private:
  std::mt19937_64 engine_;
};

std::string Encode(const std::vector<float>& values, DType dtype) {
  std::string bytes;
  for (float v : values) {
    if (dtype == DType::kF32) {
      bytes.append(reinterpret_cast<const char*>(&v), 4);
    } else {
      const uint16_t bits = dtype == DType::kF16 ? F32ToF16(v) : F32ToBF16(v);
      bytes.append(reinterpret_cast<const char*>(&bits), 2);
    }
  }
  return bytes;
}

// Tensors of random values, in order of the calls.
struct TensorMaker {
  explicit TensorMaker(const TinyModelOptions& options)
      : dtype(options.dtype), values(options.seed) {}

  void operator()(std::string name, Shape shape, float mean, float spread) {
    std::vector<float> numbers(static_cast<size_t>(ElementCount(shape)));
    for (float& v : numbers) v = mean + values.Next(spread);
    tensors.push_back(
        {std::move(name), dtype, std::move(shape), Encode(numbers, dtype)});
  }

  const DType dtype;
  Values values;
  std::vector<TensorToWrite> tensors;
};

void WriteConfigAndTokenizer(const std::string& directory,
                             const nlohmann::json& config) {
  ASSERT_TRUE(
      WriteFileDurably(directory + "/config.json", config.dump(1)).ok());
  ASSERT_TRUE(
      WriteFileDurably(directory + "/tokenizer.json", SmallTokenizer().dump())
          .ok());
}

}  // namespace

void WriteTinyModel(const std::string& directory, const TinyModelOptions& o) {
  const int head_dim = o.hidden / o.heads;
  nlohmann::json config = {{"architectures", {"LlamaForCausalLM"}},
                           {"model_type", "llama"},
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
  if (o.experts > 0) {
    config["architectures"] = {"MixtralForCausalLM"};
    config["model_type"] = "mixtral";
    config["num_local_experts"] = o.experts;
    config["num_experts_per_tok"] = 1;
  }
  WriteConfigAndTokenizer(directory, config);

  TensorMaker add(o);
  std::vector<TensorToWrite>& tensors = add.tensors;
  const float spread = 1.0f / std::sqrt(static_cast<float>(o.hidden));
  add("model.embed_tokens.weight", {o.vocabulary, o.hidden}, 0, 1);
  for (int k = 0; k < o.blocks; ++k) {
    const std::string block = absl::StrCat("model.layers.", k, ".");
    add(block + "input_layernorm.weight", {o.hidden}, 1, 0.1f);
    add(block + "post_attention_layernorm.weight", {o.hidden}, 1, 0.1f);
    add(block + "self_attn.q_proj.weight", {o.hidden, o.hidden}, 0, spread);
    const int kv = o.kv_heads * head_dim;
    add(block + "self_attn.k_proj.weight", {kv, o.hidden}, 0, spread);
    add(block + "self_attn.v_proj.weight", {kv, o.hidden}, 0, spread);
    add(block + "self_attn.o_proj.weight", {o.hidden, o.hidden}, 0, spread);
    if (o.experts == 0) {
      add(block + "mlp.gate_proj.weight", {o.intermediate, o.hidden}, 0,
          spread);
      add(block + "mlp.up_proj.weight", {o.intermediate, o.hidden},
          o.overflows ? 3e38f : 0, o.overflows ? 0 : spread);
      add(block + "mlp.down_proj.weight", {o.hidden, o.intermediate}, 0,
          spread);
      continue;
    }
    const std::string experts = block + "block_sparse_moe.";
    add(experts + "gate.weight", {o.experts, o.hidden}, 0, spread);
    std::string& router = tensors.back().bytes;
    const size_t row = router.size() / static_cast<size_t>(o.experts);
    router.replace(router.size() - row, row, router, 0, row);
    for (int e = 0; e < o.experts; ++e) {
      const std::string expert = absl::StrCat(experts, "experts.", e, ".");
      add(expert + "w1.weight", {o.intermediate, o.hidden}, 0, spread);
      add(expert + "w3.weight", {o.intermediate, o.hidden}, 0, spread);
      add(expert + "w2.weight", {o.hidden, o.intermediate}, 0, spread);
    }
  }
  add("model.norm.weight", {o.hidden}, 1, 0.1f);
  add("lm_head.weight", {o.vocabulary, o.hidden}, 0, o.head_scale * spread);
  ASSERT_TRUE(
      WriteSafetensors(directory + "/model.safetensors", tensors, {}).ok());
}

void WriteTinyOpt(const std::string& directory, const TinyModelOptions& o) {
  WriteConfigAndTokenizer(directory, {{"architectures", {"OPTForCausalLM"}},
                                      {"model_type", "opt"},
                                      {"vocab_size", o.vocabulary},
                                      {"hidden_size", o.hidden},
                                      {"word_embed_proj_dim", o.hidden},
                                      {"ffn_dim", o.intermediate},
                                      {"num_hidden_layers", o.blocks},
                                      {"num_attention_heads", o.heads},
                                      {"activation_function", "relu"},
                                      {"max_position_embeddings", o.context},
                                      {"do_layer_norm_before", true},
                                      {"tie_word_embeddings", true}});
  TensorMaker add(o);
  const float spread = 1.0f / std::sqrt(static_cast<float>(o.hidden));
  const auto linear = [&](const std::string& name, int rows, int cols) {
    add(name + ".weight", {rows, cols}, 0, spread);
    add(name + ".bias", {rows}, 0, 0.1f);
  };
  const auto norm = [&](const std::string& name) {
    add(name + ".weight", {o.hidden}, 1, 0.1f);
    add(name + ".bias", {o.hidden}, 0, 0.1f);
  };
  const std::string decoder = "model.decoder.";
  add(decoder + "embed_tokens.weight", {o.vocabulary, o.hidden}, 0, 1);
  // OPT's positions begin at row two.
  add(decoder + "embed_positions.weight", {o.context + 2, o.hidden}, 0, 0.1f);
  for (int k = 0; k < o.blocks; ++k) {
    const std::string block = absl::StrCat(decoder, "layers.", k, ".");
    norm(block + "self_attn_layer_norm");
    for (const char* part : {"q_proj", "k_proj", "v_proj", "out_proj"}) {
      linear(absl::StrCat(block, "self_attn.", part), o.hidden, o.hidden);
    }
    norm(block + "final_layer_norm");
    linear(block + "fc1", o.intermediate, o.hidden);
    linear(block + "fc2", o.hidden, o.intermediate);
  }
  norm(decoder + "final_layer_norm");
  ASSERT_TRUE(
      WriteSafetensors(directory + "/model.safetensors", add.tensors, {}).ok());
}

std::string TinyText(size_t count, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::string text(count, ' ');
  for (char& c : text) c = static_cast<char>('a' + engine() % 26);
  return text;
}

}  // namespace quantd::test
