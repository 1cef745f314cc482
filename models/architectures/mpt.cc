// MPT (MosaicML 2023): ALiBi, no biases at all, fused projections side by side.
#include <cmath>
#include <optional>
#include <vector>

#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/architectures/family_keys.h"
#include "models/architectures/llama_layout.h"
#include "models/config_reading.h"
#include "models/json_text.h"
#include "nlohmann/json.hpp"

namespace quantd {

namespace {

constexpr KeyAlias kAliases[] = {{"hidden_size", "d_model"},
                                 {"num_attention_heads", "n_heads"},
                                 {"num_hidden_layers", "n_layers"}};
constexpr KeyDefault kDefaults[] = {{"d_model", 2048},
                                    {"n_layers", 24},
                                    {"n_heads", 16},
                                    {"vocab_size", 50368},
                                    {"max_seq_len", 2048}};

// Head h of n has slope 2^(-max (h + 1) / m), m the power of two at or above
// n; where they differ, every other slope first, then the rest.
std::vector<float> AlibiSlopes(int heads, double max_exponent) {
  const int upper = 1 << static_cast<int>(std::ceil(std::log2(heads)));
  std::vector<float> all;
  for (int i = 1; i <= upper; ++i) {
    all.push_back(static_cast<float>(std::pow(2.0, -max_exponent * i / upper)));
  }
  if (upper == heads) return all;
  std::vector<float> slopes;
  for (size_t i = 1; i < all.size(); i += 2) slopes.push_back(all[i]);
  for (size_t i = 0; i < all.size(); i += 2) slopes.push_back(all[i]);
  slopes.resize(static_cast<size_t>(heads));
  return slopes;
}

// Options of the original code that change the network and that no released
// conversion uses.
absl::Status RefuseUnusedOptions(const JsonReader& reader) {
  for (const char* key : {"qk_ln", "prefix_lm", "attn_uses_sequence_id"}) {
    ASSIGN_OR_RETURN(const bool on, reader.GetBoolOr(key, false));
    if (on) {
      return reader.Unsupported(key, "true");
    }
  }
  ASSIGN_OR_RETURN(const bool alibi, reader.GetBoolOr("alibi", true));
  if (!alibi) {
    return reader.Unsupported("alibi", "false");
  }
  return absl::OkStatus();
}

absl::Status ReadAttentionConfig(const JsonReader& reader,
                                 AttentionDescription* attention) {
  RETURN_IF_ERROR(RefuseUnusedOptions(reader));
  ASSIGN_OR_RETURN(const double clip,
                   reader.GetDoubleOr("clip_qkv", 0.0, 0.0, 1e6));
  attention->clip_qkv = static_cast<float>(clip);
  ASSIGN_OR_RETURN(const double scale,
                   reader.GetDoubleOr("softmax_scale", 0.0, 0.0, 1e6));
  attention->scale = static_cast<float>(scale);
  ASSIGN_OR_RETURN(const double max_exponent,
                   reader.GetDoubleOr("alibi_bias_max", 8.0, 1e-6, 1e3));
  attention->alibi.slopes = AlibiSlopes(attention->heads, max_exponent);
  return absl::OkStatus();
}

}  // namespace

const FamilyKeys kMptKeys = {kAliases, kDefaults};

absl::StatusOr<ModelDescription> ParseMptConfig(const nlohmann::json& config,
                                                absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d;
  RETURN_IF_ERROR(ReadSizes(
      reader, {"n_layers", "d_model", "vocab_size", "max_seq_len"}, &d));
  RETURN_IF_ERROR(ReadHeads(reader, {"n_heads", "", ""}, &d));
  ASSIGN_OR_RETURN(const float epsilon,
                   ReadEpsilon(reader, "layer_norm_epsilon", 1e-5));
  d.base_prefix = "transformer.";
  d.block_prefix = "transformer.blocks";
  d.embedding.tokens = "transformer.wte";

  BlockDescription& block = d.block;
  block.mixer_norm.name = "norm_1";
  block.feed_forward_norm.name = "norm_2";
  AttentionDescription& attention = block.attention;
  attention.fused.name = "attn.Wqkv";
  attention.output.name = "attn.out_proj";
  ASSIGN_OR_RETURN(const std::optional<JsonReader> options,
                   reader.FindObject("attn_config"));
  const nlohmann::json none = nlohmann::json::object();
  ASSIGN_OR_RETURN(const JsonReader no_options, JsonReader::Of(none, origin));
  RETURN_IF_ERROR(ReadAttentionConfig(
      options.has_value() ? *options : no_options, &attention));

  FeedForwardDescription& part = block.feed_forward;
  ASSIGN_OR_RETURN(const int64_t expansion,
                   reader.GetIntOr("expansion_ratio", 4, 1, 64));
  part.intermediate_size = static_cast<int>(expansion) * d.hidden_size;
  part.activation = Activation::kGelu;
  part.up.name = "ffn.up_proj";
  part.down.name = "ffn.down_proj";

  d.head.norm.name = "transformer.norm_f";
  UseLayerNorms(epsilon, &d);
  for (NormDescription* norm :
       {&block.mixer_norm, &block.feed_forward_norm, &d.head.norm}) {
    norm->bias = false;
  }
  ASSIGN_OR_RETURN(d.head.tied, reader.GetBoolOr("tie_word_embeddings", true));
  d.head.output = "lm_head";
  return d;
}

}  // namespace quantd
