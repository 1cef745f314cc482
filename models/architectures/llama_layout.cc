#include "models/architectures/llama_layout.h"

#include <array>

#include "base/status_macros.h"
#include "models/config_reading.h"

namespace quantd {
namespace {

std::array<NormDescription*, 5> Norms(ModelDescription* d) {
  return {&d->block.mixer_norm, &d->block.mixer_post_norm,
          &d->block.feed_forward_norm, &d->block.feed_forward_post_norm,
          &d->head.norm};
}

}  // namespace

ModelDescription LlamaLayout() {
  ModelDescription d;
  d.base_prefix = "model.";
  d.block_prefix = "model.layers";
  d.embedding.tokens = "model.embed_tokens";
  BlockDescription& block = d.block;
  block.mixer_norm.name = "input_layernorm";
  block.attention.query.name = "self_attn.q_proj";
  block.attention.key.name = "self_attn.k_proj";
  block.attention.value.name = "self_attn.v_proj";
  block.attention.output.name = "self_attn.o_proj";
  block.feed_forward_norm.name = "post_attention_layernorm";
  block.feed_forward.gate.name = "mlp.gate_proj";
  block.feed_forward.up.name = "mlp.up_proj";
  block.feed_forward.down.name = "mlp.down_proj";
  d.head.norm.name = "model.norm";
  d.head.output = "lm_head";
  return d;
}

absl::Status ReadLlamaConfig(const JsonReader& reader, ModelDescription* d,
                             std::optional<double> rotary_share) {
  RETURN_IF_ERROR(ReadSizes(reader, SizeKeys(), d));
  RETURN_IF_ERROR(ReadHeads(reader, HeadKeys(), d));
  BlockDescription& block = d->block;
  ASSIGN_OR_RETURN(block.feed_forward.intermediate_size,
                   ReadSize(reader, "intermediate_size"));
  ASSIGN_OR_RETURN(block.feed_forward.activation,
                   ReadActivation(reader, "hidden_act", "silu"));
  ASSIGN_OR_RETURN(const float epsilon,
                   ReadEpsilon(reader, "rms_norm_eps", 1e-6));
  SetNormEpsilon(epsilon, d);
  ASSIGN_OR_RETURN(d->head.tied,
                   reader.GetBoolOr("tie_word_embeddings", false));
  int rotary_dim = block.attention.head_dim;
  if (rotary_share.has_value()) {
    ASSIGN_OR_RETURN(rotary_dim,
                     ReadRotaryShare(reader, "partial_rotary_factor",
                                     *rotary_share, rotary_dim));
  }
  ASSIGN_OR_RETURN(block.attention.rope, ReadRope(reader, *d, rotary_dim));
  return absl::OkStatus();
}

void SetNormEpsilon(float epsilon, ModelDescription* d) {
  for (NormDescription* norm : Norms(d)) norm->epsilon = epsilon;
}

void UseLayerNorms(float epsilon, ModelDescription* d) {
  SetNormEpsilon(epsilon, d);
  for (NormDescription* norm : Norms(d)) {
    norm->kind = NormDescription::Kind::kLayer;
    norm->bias = true;
  }
}

void SetQueryKeyValueBias(bool bias, AttentionDescription* attention) {
  attention->query.bias = bias;
  attention->key.bias = bias;
  attention->value.bias = bias;
}

}  // namespace quantd
