#include "models/architectures/llama.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/config_reading.h"
#include "models/json_text.h"

namespace quantd {
namespace {

TensorNames LlamaTensorNames() {
  TensorNames names;
  names.embedding = "model.embed_tokens.weight";
  names.block_prefix = "model.layers";
  names.attention_norm = "input_layernorm.weight";
  names.query = "self_attn.q_proj";
  names.key = "self_attn.k_proj";
  names.value = "self_attn.v_proj";
  names.attention_output = "self_attn.o_proj";
  names.mlp_norm = "post_attention_layernorm.weight";
  names.gate = "mlp.gate_proj";
  names.up = "mlp.up_proj";
  names.down = "mlp.down_proj";
  names.final_norm = "model.norm.weight";
  names.head = "lm_head.weight";
  return names;
}

}  // namespace

absl::StatusOr<ModelDescription> ParseLlamaConfig(const nlohmann::json& config,
                                                  absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d;
  d.architecture = "llama";
  RETURN_IF_ERROR(ReadDecoderSizes(reader, &d));
  RETURN_IF_ERROR(RequireActivation(reader, "hidden_act", "silu"));
  ASSIGN_OR_RETURN(const double epsilon,
                   reader.GetDoubleOr("rms_norm_eps", 1e-6, 0.0, 1.0));
  d.norm_epsilon = static_cast<float>(epsilon);
  ASSIGN_OR_RETURN(d.tied_embeddings,
                   reader.GetBoolOr("tie_word_embeddings", false));
  ASSIGN_OR_RETURN(d.attention_bias, reader.GetBoolOr("attention_bias", false));
  ASSIGN_OR_RETURN(d.mlp_bias, reader.GetBoolOr("mlp_bias", false));
  ASSIGN_OR_RETURN(d.rope, ReadRope(reader));
  d.names = LlamaTensorNames();
  return d;
}

}  // namespace quantd
