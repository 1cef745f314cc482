// GPT-2 (Radford et al. 2019): learned positions, fused projections stored
// transposed.
#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/architectures/family_keys.h"
#include "models/architectures/llama_layout.h"
#include "models/config_reading.h"
#include "models/json_text.h"

namespace quantd {

namespace {

constexpr KeyAlias kAliases[] = {{"hidden_size", "n_embd"},
                                 {"max_position_embeddings", "n_positions"},
                                 {"num_attention_heads", "n_head"},
                                 {"num_hidden_layers", "n_layer"}};
constexpr KeyDefault kDefaults[] = {{"n_embd", 768},
                                    {"n_layer", 12},
                                    {"n_head", 12},
                                    {"vocab_size", 50257},
                                    {"n_positions", 1024}};

}  // namespace

const FamilyKeys kGpt2Keys = {kAliases, kDefaults};

absl::StatusOr<ModelDescription> ParseGpt2Config(const nlohmann::json& config,
                                                 absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d;
  RETURN_IF_ERROR(ReadSizes(
      reader, {"n_layer", "n_embd", "vocab_size", "n_positions"}, &d));
  RETURN_IF_ERROR(ReadHeads(reader, {"n_head", "", ""}, &d));
  ASSIGN_OR_RETURN(const float epsilon,
                   ReadEpsilon(reader, "layer_norm_epsilon", 1e-5));
  d.base_prefix = "transformer.";
  d.block_prefix = "transformer.h";
  d.embedding.tokens = "transformer.wte";
  d.embedding.positions = "transformer.wpe";
  d.embedding.position_rows = d.context_tokens;

  BlockDescription& block = d.block;
  block.mixer_norm.name = "ln_1";
  block.feed_forward_norm.name = "ln_2";
  AttentionDescription& attention = block.attention;
  attention.fused = {"attn.c_attn", true, true};
  attention.output = {"attn.c_proj", true, true};
  ASSIGN_OR_RETURN(const bool scaled,
                   reader.GetBoolOr("scale_attn_weights", true));
  if (!scaled) attention.scale = 1.0f;
  ASSIGN_OR_RETURN(attention.scale_by_inverse_block,
                   reader.GetBoolOr("scale_attn_by_inverse_layer_idx", false));

  FeedForwardDescription& part = block.feed_forward;
  ASSIGN_OR_RETURN(part.intermediate_size,
                   ReadSizeOr(reader, "n_inner", 4 * d.hidden_size));
  ASSIGN_OR_RETURN(part.activation,
                   ReadActivation(reader, "activation_function", "gelu_new"));
  part.up = {"mlp.c_fc", true, true};
  part.down = {"mlp.c_proj", true, true};

  d.head.norm.name = "transformer.ln_f";
  UseLayerNorms(epsilon, &d);
  ASSIGN_OR_RETURN(d.head.tied, reader.GetBoolOr("tie_word_embeddings", true));
  d.head.output = "lm_head";
  return d;
}

}  // namespace quantd
