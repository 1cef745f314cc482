// Falcon (Almazrouei et al. 2023, arXiv:2311.16867): parallel parts behind one
// or two norms, one or few key/value heads in a fused projection, rotary
// positions or ALiBi.
#include <cmath>

#include "base/status_macros.h"
#include "models/architectures/alibi_slopes.h"
#include "models/architectures/families.h"
#include "models/architectures/family_keys.h"
#include "models/architectures/llama_layout.h"
#include "models/config_reading.h"
#include "models/json_text.h"

namespace quantd {

namespace {

constexpr KeyAlias kAliases[] = {{"n_embed", "hidden_size"},
                                 {"n_layer", "num_hidden_layers"},
                                 {"n_head", "num_attention_heads"}};
constexpr KeyDefault kDefaults[] = {{"hidden_size", 4544},
                                    {"num_hidden_layers", 32},
                                    {"num_attention_heads", 71},
                                    {"vocab_size", 65024},
                                    {"max_position_embeddings", 2048}};

// Falcon computes the biases in bfloat16 and scales them with the scores.
AlibiDescription FalconAlibi(const AttentionDescription& attention) {
  AlibiDescription alibi;
  alibi.slopes = AlibiSlopes(attention.heads);
  alibi.round_to_bf16 = true;
  alibi.scale = 1.0f / std::sqrt(static_cast<float>(attention.head_dim));
  return alibi;
}

}  // namespace

const FamilyKeys kFalconKeys = {kAliases, kDefaults};

absl::StatusOr<ModelDescription> ParseFalconConfig(const nlohmann::json& config,
                                                   absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d;
  RETURN_IF_ERROR(ReadSizes(reader, SizeKeys(), &d));
  ASSIGN_OR_RETURN(const bool grouped,
                   reader.GetBoolOr("new_decoder_architecture", false));
  ASSIGN_OR_RETURN(const bool multi_query,
                   reader.GetBoolOr("multi_query", true));
  HeadKeys heads;
  heads.head_dim = "";
  heads.kv_heads = grouped || !multi_query ? "num_kv_heads" : "";
  RETURN_IF_ERROR(ReadHeads(reader, heads, &d));
  BlockDescription& block = d.block;
  AttentionDescription& attention = block.attention;
  if (!grouped && multi_query) attention.kv_heads = 1;
  ASSIGN_OR_RETURN(const float epsilon,
                   ReadEpsilon(reader, "layer_norm_epsilon", 1e-5));
  ASSIGN_OR_RETURN(const bool parallel,
                   reader.GetBoolOr("parallel_attn", true));
  ASSIGN_OR_RETURN(
      const int64_t norms,
      reader.GetIntOr("num_ln_in_parallel_attn", grouped ? 2 : 1, 1, 2));
  ASSIGN_OR_RETURN(const bool bias, reader.GetBoolOr("bias", false));
  d.base_prefix = "transformer.";
  d.block_prefix = "transformer.h";
  d.embedding.tokens = "transformer.word_embeddings";

  if (grouped && parallel && norms == 2) {
    block.order = BlockDescription::Order::kParallel;
    block.mixer_norm.name = "ln_attn";
    block.feed_forward_norm.name = "ln_mlp";
  } else if (parallel) {
    block.order = BlockDescription::Order::kParallel;
    block.mixer_norm.name = "input_layernorm";
  } else if (grouped) {
    return reader.Unsupported("parallel_attn",
                              "the new decoder architecture is parallel only");
  } else {
    block.mixer_norm.name = "input_layernorm";
    block.feed_forward_norm.name = "post_attention_layernorm";
  }
  attention.fused = {"self_attention.query_key_value", bias};
  attention.fused_layout = AttentionDescription::FusedLayout::kGrouped;
  attention.output = {"self_attention.dense", bias};
  ASSIGN_OR_RETURN(const bool alibi, reader.GetBoolOr("alibi", false));
  if (alibi) {
    attention.alibi = FalconAlibi(attention);
  } else {
    ASSIGN_OR_RETURN(attention.rope, ReadRope(reader, d, attention.head_dim));
  }

  FeedForwardDescription& part = block.feed_forward;
  ASSIGN_OR_RETURN(part.intermediate_size,
                   ReadSizeOr(reader, "ffn_hidden_size", 4 * d.hidden_size));
  ASSIGN_OR_RETURN(part.activation,
                   ReadActivation(reader, "activation", "gelu"));
  part.up = {"mlp.dense_h_to_4h", bias};
  part.down = {"mlp.dense_4h_to_h", bias};

  d.head.norm.name = "transformer.ln_f";
  UseLayerNorms(epsilon, &d);
  ASSIGN_OR_RETURN(d.head.tied, reader.GetBoolOr("tie_word_embeddings", true));
  d.head.output = "lm_head";
  return d;
}

}  // namespace quantd
