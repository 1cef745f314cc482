// Phi-1, 1.5 and 2 (Gunasekar et al. 2023, arXiv:2306.11644): attention and a
// plain feed-forward part side by side behind one norm, partial rotary
// positions.
#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/architectures/family_keys.h"
#include "models/architectures/llama_layout.h"
#include "models/config_reading.h"
#include "models/json_text.h"

namespace quantd {

namespace {

constexpr KeyDefault kDefaults[] = {
    {"hidden_size", 2048},     {"intermediate_size", 8192},
    {"num_hidden_layers", 24}, {"num_attention_heads", 32},
    {"vocab_size", 51200},     {"max_position_embeddings", 2048}};

}  // namespace

const FamilyKeys kPhiKeys = {{}, kDefaults};

absl::StatusOr<ModelDescription> ParsePhiConfig(const nlohmann::json& config,
                                                absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d = LlamaLayout();
  RETURN_IF_ERROR(ReadSizes(reader, SizeKeys(), &d));
  RETURN_IF_ERROR(ReadHeads(reader, HeadKeys(), &d));
  ASSIGN_OR_RETURN(const float epsilon,
                   ReadEpsilon(reader, "layer_norm_eps", 1e-5));
  BlockDescription& block = d.block;
  block.order = BlockDescription::Order::kParallel;
  block.feed_forward_norm = NormDescription();
  d.head.norm.name = "model.final_layernorm";
  UseLayerNorms(epsilon, &d);

  AttentionDescription& attention = block.attention;
  SetQueryKeyValueBias(true, &attention);
  attention.output.name = "self_attn.dense";
  attention.output.bias = true;
  ASSIGN_OR_RETURN(const int rotary_dim,
                   ReadRotaryShare(reader, "partial_rotary_factor", 0.5,
                                   attention.head_dim));
  ASSIGN_OR_RETURN(attention.rope, ReadRope(reader, d, rotary_dim));
  ASSIGN_OR_RETURN(const bool norm_heads,
                   reader.GetBoolOr("qk_layernorm", false));
  if (norm_heads) {
    attention.query_key_norm = AttentionDescription::QueryKeyNorm::kPerHead;
    attention.query_norm = block.mixer_norm;
    attention.query_norm.name = "self_attn.q_layernorm";
    attention.key_norm = block.mixer_norm;
    attention.key_norm.name = "self_attn.k_layernorm";
  }

  FeedForwardDescription& part = block.feed_forward;
  ASSIGN_OR_RETURN(part.intermediate_size,
                   ReadSizeOr(reader, "intermediate_size", 4 * d.hidden_size));
  ASSIGN_OR_RETURN(part.activation,
                   ReadActivation(reader, "hidden_act", "gelu_new"));
  part.gate = LinearDescription();
  part.up = {"mlp.fc1", true};
  part.down = {"mlp.fc2", true};
  ASSIGN_OR_RETURN(d.head.tied, reader.GetBoolOr("tie_word_embeddings", false));
  d.head.bias = "lm_head.bias";
  return d;
}

}  // namespace quantd
