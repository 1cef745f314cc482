// OPT (Zhang et al. 2022, arXiv:2205.01068): learned positions that begin at
// row two; the 350M model normalises after each part and has narrower
// embeddings.
#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/architectures/family_keys.h"
#include "models/architectures/llama_layout.h"
#include "models/config_reading.h"
#include "models/json_text.h"

namespace quantd {

namespace {

constexpr KeyDefault kDefaults[] = {
    {"hidden_size", 768},      {"ffn_dim", 3072},
    {"num_hidden_layers", 12}, {"num_attention_heads", 12},
    {"vocab_size", 50272},     {"max_position_embeddings", 2048}};

}  // namespace

const FamilyKeys kOptKeys = {{}, kDefaults};

absl::StatusOr<ModelDescription> ParseOptConfig(const nlohmann::json& config,
                                                absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d;
  RETURN_IF_ERROR(ReadSizes(reader, SizeKeys(), &d));
  RETURN_IF_ERROR(ReadHeads(reader, {"num_attention_heads", "", ""}, &d));
  d.base_prefix = "model.";
  d.block_prefix = "model.decoder.layers";
  EmbeddingDescription& embedding = d.embedding;
  embedding.tokens = "model.decoder.embed_tokens";
  embedding.positions = "model.decoder.embed_positions";
  embedding.position_offset = 2;
  embedding.position_rows = d.context_tokens + embedding.position_offset;
  ASSIGN_OR_RETURN(embedding.width,
                   ReadSizeOr(reader, "word_embed_proj_dim", d.hidden_size));
  if (embedding.width != d.hidden_size) {
    embedding.projection.name = "model.decoder.project_in";
    d.head.projection.name = "model.decoder.project_out";
  }
  ASSIGN_OR_RETURN(const bool bias, reader.GetBoolOr("enable_bias", true));
  ASSIGN_OR_RETURN(const bool affine,
                   reader.GetBoolOr("layer_norm_elementwise_affine", true));
  ASSIGN_OR_RETURN(const bool before,
                   reader.GetBoolOr("do_layer_norm_before", true));
  ASSIGN_OR_RETURN(const bool no_final_norm,
                   reader.GetBoolOr("_remove_final_layer_norm", false));

  BlockDescription& block = d.block;
  block.order = before ? BlockDescription::Order::kSequential
                       : BlockDescription::Order::kPostNorm;
  block.mixer_norm.name = "self_attn_layer_norm";
  block.feed_forward_norm.name = "final_layer_norm";
  AttentionDescription& attention = block.attention;
  attention.query = {"self_attn.q_proj", bias};
  attention.key = {"self_attn.k_proj", bias};
  attention.value = {"self_attn.v_proj", bias};
  attention.output = {"self_attn.out_proj", bias};

  FeedForwardDescription& part = block.feed_forward;
  ASSIGN_OR_RETURN(part.intermediate_size, ReadSize(reader, "ffn_dim"));
  ASSIGN_OR_RETURN(part.activation,
                   ReadActivation(reader, "activation_function", "relu"));
  part.up = {"fc1", bias};
  part.down = {"fc2", bias};

  if (before && !no_final_norm) {
    d.head.norm.name = "model.decoder.final_layer_norm";
  }
  UseLayerNorms(1e-5f, &d);
  for (NormDescription* norm :
       {&block.mixer_norm, &block.feed_forward_norm, &d.head.norm}) {
    norm->weight = affine;
    norm->bias = affine;
  }
  ASSIGN_OR_RETURN(d.head.tied, reader.GetBoolOr("tie_word_embeddings", true));
  d.head.output = "lm_head";
  return d;
}

}  // namespace quantd
