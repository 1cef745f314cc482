// StableLM (Bellagente et al. 2024, arXiv:2402.17834): Llama with layer norms,
// partial rotary positions and, in some sizes, parallel parts and head norms.
#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/architectures/family_keys.h"
#include "models/architectures/llama_layout.h"
#include "models/config_reading.h"
#include "models/json_text.h"

namespace quantd {

namespace {

constexpr KeyDefault kDefaults[] = {{"hidden_size", 2560},
                                    {"intermediate_size", 6912},
                                    {"num_hidden_layers", 32},
                                    {"num_attention_heads", 32},
                                    {"num_key_value_heads", 32},
                                    {"vocab_size", 50304},
                                    {"max_position_embeddings", 4096}};

}  // namespace

const FamilyKeys kStableLmKeys = {{}, kDefaults};

absl::StatusOr<ModelDescription> ParseStableLmConfig(
    const nlohmann::json& config, absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d = LlamaLayout();
  RETURN_IF_ERROR(ReadLlamaConfig(reader, &d, 0.25));
  ASSIGN_OR_RETURN(const float epsilon,
                   ReadEpsilon(reader, "layer_norm_eps", 1e-5));
  UseLayerNorms(epsilon, &d);
  BlockDescription& block = d.block;
  ASSIGN_OR_RETURN(const bool parallel,
                   reader.GetBoolOr("use_parallel_residual", false));
  if (parallel) {
    block.order = BlockDescription::Order::kParallel;
    block.feed_forward_norm = NormDescription();
  }
  AttentionDescription& attention = block.attention;
  ASSIGN_OR_RETURN(const bool bias, reader.GetBoolOr("use_qkv_bias", false));
  SetQueryKeyValueBias(bias, &attention);
  ASSIGN_OR_RETURN(const bool norm_heads,
                   reader.GetBoolOr("qk_layernorm", false));
  if (norm_heads) {
    attention.query_key_norm = AttentionDescription::QueryKeyNorm::kPerHeadOwn;
    attention.query_norm = block.mixer_norm;
    attention.query_norm.bias = false;
    attention.key_norm = attention.query_norm;
    attention.query_norm.name = "self_attn.q_layernorm";
    attention.key_norm.name = "self_attn.k_layernorm";
  }
  return d;
}

}  // namespace quantd
