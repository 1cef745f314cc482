// Phi-3 (Abdin et al. 2024, arXiv:2404.14219): Llama with fused projections,
// LongRoPE and a sliding window.
#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/architectures/family_keys.h"
#include "models/architectures/llama_layout.h"
#include "models/config_reading.h"
#include "models/json_text.h"

namespace quantd {

namespace {

constexpr KeyDefault kDefaults[] = {{"hidden_size", 3072},
                                    {"intermediate_size", 8192},
                                    {"num_hidden_layers", 32},
                                    {"num_attention_heads", 32},
                                    {"vocab_size", 32064},
                                    {"max_position_embeddings", 4096},
                                    {"original_max_position_embeddings", 4096}};

}  // namespace

const FamilyKeys kPhi3Keys = {{}, kDefaults};

absl::StatusOr<ModelDescription> ParsePhi3Config(const nlohmann::json& config,
                                                 absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d = LlamaLayout();
  RETURN_IF_ERROR(ReadLlamaConfig(reader, &d, 1.0));
  RETURN_IF_ERROR(ReadSlidingWindow(reader, &d));
  ASSIGN_OR_RETURN(const float epsilon,
                   ReadEpsilon(reader, "rms_norm_eps", 1e-5));
  SetNormEpsilon(epsilon, &d);

  AttentionDescription& attention = d.block.attention;
  attention.query = attention.key = attention.value = LinearDescription();
  attention.fused.name = "self_attn.qkv_proj";
  ASSIGN_OR_RETURN(const bool bias, reader.GetBoolOr("attention_bias", false));
  attention.fused.bias = bias;
  attention.output.bias = bias;

  FeedForwardDescription& part = d.block.feed_forward;
  part.gate = part.up = LinearDescription();
  part.gate_up.name = "mlp.gate_up_proj";
  return d;
}

}  // namespace quantd
