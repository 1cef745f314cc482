// BLOOM (Workshop 2022, arXiv:2211.05100): ALiBi, a norm behind the embedding,
// fused projections grouped by head.
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
                                 {"num_hidden_layers", "n_layer"},
                                 {"num_attention_heads", "n_head"}};
constexpr KeyDefault kDefaults[] = {
    {"hidden_size", 64}, {"n_layer", 2}, {"n_head", 8}, {"vocab_size", 250880}};

}  // namespace

const FamilyKeys kBloomKeys = {kAliases, kDefaults};

absl::StatusOr<ModelDescription> ParseBloomConfig(const nlohmann::json& config,
                                                  absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d;
  RETURN_IF_ERROR(
      ReadSizes(reader, {"n_layer", "hidden_size", "vocab_size", ""}, &d));
  RETURN_IF_ERROR(ReadHeads(reader, {"n_head", "", ""}, &d));
  ASSIGN_OR_RETURN(const float epsilon,
                   ReadEpsilon(reader, "layer_norm_epsilon", 1e-5));
  d.base_prefix = "transformer.";
  d.block_prefix = "transformer.h";
  d.embedding.tokens = "transformer.word_embeddings";

  BlockDescription& block = d.block;
  ASSIGN_OR_RETURN(
      block.residual_after_norm,
      reader.GetBoolOr("apply_residual_connection_post_layernorm", false));
  block.mixer_norm.name = "input_layernorm";
  block.feed_forward_norm.name = "post_attention_layernorm";
  AttentionDescription& attention = block.attention;
  attention.fused = {"self_attention.query_key_value", true};
  attention.fused_layout = AttentionDescription::FusedLayout::kGrouped;
  attention.output = {"self_attention.dense", true};
  attention.alibi.slopes = AlibiSlopes(attention.heads);

  FeedForwardDescription& part = block.feed_forward;
  part.intermediate_size = 4 * d.hidden_size;
  part.activation = Activation::kGeluTanh;
  part.up = {"mlp.dense_h_to_4h", true};
  part.down = {"mlp.dense_4h_to_h", true};

  d.head.norm.name = "transformer.ln_f";
  UseLayerNorms(epsilon, &d);
  d.embedding.norm = d.head.norm;
  d.embedding.norm.name = "transformer.word_embeddings_layernorm";
  ASSIGN_OR_RETURN(d.head.tied, reader.GetBoolOr("tie_word_embeddings", true));
  d.head.output = "lm_head";
  return d;
}

}  // namespace quantd
