// Gemma (Gemma Team 2024, arXiv:2403.08295). Norm weights are stored as their
// distance from one, and token rows are scaled by the square root of the width.
#include <cmath>

#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/architectures/family_keys.h"
#include "models/architectures/llama_layout.h"
#include "models/config_reading.h"
#include "models/json_text.h"

namespace quantd {

namespace {

constexpr KeyDefault kDefaults[] = {
    {"hidden_size", 3072},       {"intermediate_size", 24576},
    {"num_hidden_layers", 28},   {"num_attention_heads", 16},
    {"num_key_value_heads", 16}, {"head_dim", 256},
    {"vocab_size", 256000},      {"max_position_embeddings", 8192}};

}  // namespace

const FamilyKeys kGemmaKeys = {{}, kDefaults};

absl::StatusOr<ModelDescription> ParseGemmaConfig(const nlohmann::json& config,
                                                  absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d = LlamaLayout();
  RETURN_IF_ERROR(ReadLlamaConfig(reader, &d));
  // "hidden_act" of the first releases named the wrong function; the newer key
  // decides, and without it the tanh form holds.
  ASSIGN_OR_RETURN(
      d.block.feed_forward.activation,
      ReadActivation(reader, "hidden_activation", "gelu_pytorch_tanh"));
  ASSIGN_OR_RETURN(d.head.tied, reader.GetBoolOr("tie_word_embeddings", true));
  ASSIGN_OR_RETURN(const bool bias, reader.GetBoolOr("attention_bias", false));
  SetQueryKeyValueBias(bias, &d.block.attention);
  d.block.attention.output.bias = bias;
  d.embedding.scale = std::sqrt(static_cast<float>(d.hidden_size));
  for (NormDescription* norm :
       {&d.block.mixer_norm, &d.block.feed_forward_norm, &d.head.norm}) {
    norm->weight_offset = 1.0f;
  }
  return d;
}

}  // namespace quantd
