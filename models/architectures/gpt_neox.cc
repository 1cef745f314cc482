// GPT-NeoX and Pythia (Black et al. 2022, arXiv:2204.06745): fused projections
// grouped by head, partial rotary positions, parallel parts with norms of their
// own.
#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/architectures/family_keys.h"
#include "models/architectures/llama_layout.h"
#include "models/config_reading.h"
#include "models/json_text.h"

namespace quantd {

namespace {

constexpr KeyDefault kDefaults[] = {
    {"hidden_size", 6144},     {"intermediate_size", 24576},
    {"num_hidden_layers", 44}, {"num_attention_heads", 64},
    {"vocab_size", 50432},     {"max_position_embeddings", 2048}};

}  // namespace

const FamilyKeys kGptNeoXKeys = {{}, kDefaults};

absl::StatusOr<ModelDescription> ParseGptNeoXConfig(
    const nlohmann::json& config, absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d;
  RETURN_IF_ERROR(ReadSizes(reader, SizeKeys(), &d));
  RETURN_IF_ERROR(ReadHeads(reader, {"num_attention_heads", "", ""}, &d));
  ASSIGN_OR_RETURN(const float epsilon,
                   ReadEpsilon(reader, "layer_norm_eps", 1e-5));
  d.base_prefix = "gpt_neox.";
  d.block_prefix = "gpt_neox.layers";
  d.embedding.tokens = "gpt_neox.embed_in";

  BlockDescription& block = d.block;
  ASSIGN_OR_RETURN(const bool parallel,
                   reader.GetBoolOr("use_parallel_residual", true));
  block.order = parallel ? BlockDescription::Order::kParallel
                         : BlockDescription::Order::kSequential;
  block.mixer_norm.name = "input_layernorm";
  block.feed_forward_norm.name = "post_attention_layernorm";
  AttentionDescription& attention = block.attention;
  ASSIGN_OR_RETURN(const bool bias, reader.GetBoolOr("attention_bias", true));
  attention.fused = {"attention.query_key_value", bias};
  attention.fused_layout = AttentionDescription::FusedLayout::kGrouped;
  attention.output = {"attention.dense", bias};
  // Where a file has both the older and the newer keys, the older ones hold.
  const bool old_share = reader.Has("rotary_pct");
  ASSIGN_OR_RETURN(
      const int rotary_dim,
      ReadRotaryShare(reader,
                      old_share ? "rotary_pct" : "partial_rotary_factor", 0.25,
                      attention.head_dim));
  ASSIGN_OR_RETURN(attention.rope,
                   ReadRope(reader, d, rotary_dim,
                            reader.Has("rotary_emb_base") ? "rotary_emb_base"
                                                          : "rope_theta"));

  FeedForwardDescription& part = block.feed_forward;
  ASSIGN_OR_RETURN(part.intermediate_size,
                   ReadSize(reader, "intermediate_size"));
  ASSIGN_OR_RETURN(part.activation,
                   ReadActivation(reader, "hidden_act", "gelu"));
  part.up = {"mlp.dense_h_to_4h", true};
  part.down = {"mlp.dense_4h_to_h", true};

  d.head.norm.name = "gpt_neox.final_layer_norm";
  UseLayerNorms(epsilon, &d);
  ASSIGN_OR_RETURN(d.head.tied, reader.GetBoolOr("tie_word_embeddings", false));
  d.head.output = "embed_out";
  return d;
}

}  // namespace quantd
