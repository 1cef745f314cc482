// StarCoder2 (Lozhkov et al. 2024, arXiv:2402.19173): layer norms, a plain
// feed-forward part, biases everywhere, a sliding window.
#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/architectures/family_keys.h"
#include "models/architectures/llama_layout.h"
#include "models/config_reading.h"
#include "models/json_text.h"

namespace quantd {

namespace {

constexpr KeyDefault kDefaults[] = {{"hidden_size", 3072},
                                    {"intermediate_size", 12288},
                                    {"num_hidden_layers", 30},
                                    {"num_attention_heads", 24},
                                    {"num_key_value_heads", 2},
                                    {"vocab_size", 49152},
                                    {"max_position_embeddings", 4096}};

}  // namespace

const FamilyKeys kStarcoder2Keys = {{}, kDefaults};

absl::StatusOr<ModelDescription> ParseStarcoder2Config(
    const nlohmann::json& config, absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d = LlamaLayout();
  RETURN_IF_ERROR(ReadLlamaConfig(reader, &d));
  RETURN_IF_ERROR(ReadSlidingWindow(reader, &d));
  ASSIGN_OR_RETURN(const float epsilon,
                   ReadEpsilon(reader, "norm_epsilon", 1e-5));
  UseLayerNorms(epsilon, &d);
  ASSIGN_OR_RETURN(d.head.tied, reader.GetBoolOr("tie_word_embeddings", true));
  ASSIGN_OR_RETURN(const bool bias, reader.GetBoolOr("use_bias", true));
  AttentionDescription& attention = d.block.attention;
  SetQueryKeyValueBias(bias, &attention);
  attention.output.bias = bias;
  FeedForwardDescription& part = d.block.feed_forward;
  ASSIGN_OR_RETURN(part.activation,
                   ReadActivation(reader, "hidden_act", "gelu_pytorch_tanh"));
  part.gate = LinearDescription();
  part.up = {"mlp.c_fc", bias};
  part.down = {"mlp.c_proj", bias};
  return d;
}

}  // namespace quantd
