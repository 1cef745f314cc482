// Llama 1 to 3 (Touvron et al. 2023, arXiv:2302.13971; Dubey et al. 2024,
// arXiv:2407.21783).
#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/architectures/family_keys.h"
#include "models/architectures/llama_layout.h"
#include "models/config_reading.h"
#include "models/json_text.h"

namespace quantd {

namespace {

constexpr KeyDefault kDefaults[] = {
    {"hidden_size", 4096},     {"intermediate_size", 11008},
    {"num_hidden_layers", 32}, {"num_attention_heads", 32},
    {"vocab_size", 32000},     {"max_position_embeddings", 2048}};

}  // namespace

const FamilyKeys kLlamaKeys = {{}, kDefaults};

absl::StatusOr<ModelDescription> ParseLlamaConfig(const nlohmann::json& config,
                                                  absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d = LlamaLayout();
  RETURN_IF_ERROR(ReadLlamaConfig(reader, &d));
  AttentionDescription& attention = d.block.attention;
  ASSIGN_OR_RETURN(const bool bias, reader.GetBoolOr("attention_bias", false));
  SetQueryKeyValueBias(bias, &attention);
  attention.output.bias = bias;
  FeedForwardDescription& part = d.block.feed_forward;
  ASSIGN_OR_RETURN(const bool mlp_bias, reader.GetBoolOr("mlp_bias", false));
  part.gate.bias = part.up.bias = part.down.bias = mlp_bias;
  return d;
}

}  // namespace quantd
