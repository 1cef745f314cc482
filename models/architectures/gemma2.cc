// Gemma 2 (Gemma Team 2024, arXiv:2408.00118): Gemma with norms before and
// after both parts, soft caps on scores and logits, and a window in every other
// block.
#include <cmath>
#include <string>

#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/architectures/family_keys.h"
#include "models/config_reading.h"
#include "models/json_text.h"
#include "nlohmann/json.hpp"

namespace quantd {

namespace {

constexpr KeyDefault kDefaults[] = {
    {"hidden_size", 2304},      {"intermediate_size", 9216},
    {"num_hidden_layers", 26},  {"num_attention_heads", 8},
    {"num_key_value_heads", 4}, {"head_dim", 256},
    {"vocab_size", 256000},     {"max_position_embeddings", 8192},
    {"sliding_window", 4096}};

}  // namespace

const FamilyKeys kGemma2Keys = {{}, kDefaults};

absl::StatusOr<ModelDescription> ParseGemma2Config(const nlohmann::json& config,
                                                   absl::string_view origin) {
  ASSIGN_OR_RETURN(ModelDescription d, ParseGemmaConfig(config, origin));
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  BlockDescription& block = d.block;
  block.mixer_post_norm = block.mixer_norm;
  block.mixer_post_norm.name = "post_attention_layernorm";
  block.feed_forward_norm.name = "pre_feedforward_layernorm";
  block.feed_forward_post_norm = block.feed_forward_norm;
  block.feed_forward_post_norm.name = "post_feedforward_layernorm";

  AttentionDescription& attention = block.attention;
  ASSIGN_OR_RETURN(
      const double scalar,
      reader.GetDoubleOr("query_pre_attn_scalar", 256.0, 1e-6, 1e6));
  attention.scale = static_cast<float>(1.0 / std::sqrt(scalar));
  // Absent means the published caps, null means none.
  auto absent = [&](absl::string_view key, double published) {
    return config.contains(std::string(key)) ? 0.0 : published;
  };
  ASSIGN_OR_RETURN(
      const double score_cap,
      reader.GetDoubleOr("attn_logit_softcapping",
                         absent("attn_logit_softcapping", 50.0), 0.0, 1e6));
  attention.softcap = static_cast<float>(score_cap);
  ASSIGN_OR_RETURN(
      const double logit_cap,
      reader.GetDoubleOr("final_logit_softcapping",
                         absent("final_logit_softcapping", 30.0), 0.0, 1e6));
  d.head.softcap = static_cast<float>(logit_cap);
  RETURN_IF_ERROR(ReadSlidingWindow(reader, &d));
  if (attention.windowed_blocks.empty()) {
    for (int k = 0; k < d.blocks; ++k) {
      attention.windowed_blocks.push_back(k % 2 == 0);
    }
  }
  return d;
}

}  // namespace quantd
