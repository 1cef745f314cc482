// GPT-J (Wang and Komatsuzaki 2021): attention and feed-forward part side by
// side behind one norm, rotary positions over interleaved pairs.
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/architectures/family_keys.h"
#include "models/architectures/llama_layout.h"
#include "models/config_reading.h"
#include "models/json_text.h"
#include "nlohmann/json.hpp"

namespace quantd {

namespace {

constexpr KeyAlias kAliases[] = {{"hidden_size", "n_embd"},
                                 {"max_position_embeddings", "n_positions"},
                                 {"num_attention_heads", "n_head"},
                                 {"num_hidden_layers", "n_layer"}};
constexpr KeyDefault kDefaults[] = {
    {"n_embd", 4096},      {"n_layer", 28},       {"n_head", 16},
    {"vocab_size", 50400}, {"n_positions", 2048}, {"rotary_dim", 64}};

}  // namespace

const FamilyKeys kGptJKeys = {kAliases, kDefaults};

absl::StatusOr<ModelDescription> ParseGptJConfig(const nlohmann::json& config,
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

  BlockDescription& block = d.block;
  block.order = BlockDescription::Order::kParallel;
  block.mixer_norm.name = "ln_1";
  AttentionDescription& attention = block.attention;
  attention.query.name = "attn.q_proj";
  attention.key.name = "attn.k_proj";
  attention.value.name = "attn.v_proj";
  attention.output.name = "attn.out_proj";
  // Null means whole heads.
  ASSIGN_OR_RETURN(const int rotary_dim,
                   ReadSizeOr(reader, "rotary_dim", attention.head_dim));
  if (rotary_dim > attention.head_dim) {
    return reader.Fault(
        "rotary_dim",
        absl::StrCat(rotary_dim, " exceeds the head's ", attention.head_dim));
  }
  if (rotary_dim % 2 != 0) {
    return reader.Fault("rotary_dim", absl::StrCat(rotary_dim, " is not even"));
  }
  // No scaling, and the base is fixed.
  attention.rope.rotary_dim = rotary_dim;
  attention.rope.interleaved = true;

  FeedForwardDescription& part = block.feed_forward;
  ASSIGN_OR_RETURN(part.intermediate_size,
                   ReadSizeOr(reader, "n_inner", 4 * d.hidden_size));
  ASSIGN_OR_RETURN(part.activation,
                   ReadActivation(reader, "activation_function", "gelu_new"));
  part.up = {"mlp.fc_in", true};
  part.down = {"mlp.fc_out", true};

  d.head.norm.name = "transformer.ln_f";
  UseLayerNorms(epsilon, &d);
  ASSIGN_OR_RETURN(d.head.tied, reader.GetBoolOr("tie_word_embeddings", false));
  d.head.output = "lm_head";
  d.head.bias = "lm_head.bias";
  return d;
}

}  // namespace quantd
