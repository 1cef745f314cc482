// Mamba (Gu and Dao 2023, arXiv:2312.00752): selective state spaces, no
// attention, no feed-forward part, no limit to the context.
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
    {"hidden_size", 768}, {"num_hidden_layers", 32}, {"vocab_size", 50280}};

}  // namespace

const FamilyKeys kMambaKeys = {{}, kDefaults};

absl::StatusOr<ModelDescription> ParseMambaConfig(const nlohmann::json& config,
                                                  absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d;
  SizeKeys sizes;
  sizes.context = "";
  RETURN_IF_ERROR(ReadSizes(reader, sizes, &d));
  ASSIGN_OR_RETURN(const float epsilon,
                   ReadEpsilon(reader, "layer_norm_epsilon", 1e-5));
  d.base_prefix = "backbone.";
  d.block_prefix = "backbone.layers";
  d.embedding.tokens = "backbone.embeddings";

  BlockDescription& block = d.block;
  block.mixer = BlockDescription::Mixer::kStateSpace;
  block.has_feed_forward = false;
  block.mixer_norm.name = "norm";
  block.mixer_norm.epsilon = epsilon;
  StateSpaceDescription& mixer = block.state_space;
  ASSIGN_OR_RETURN(const int64_t expand, reader.GetIntOr("expand", 2, 1, 64));
  ASSIGN_OR_RETURN(mixer.channels,
                   ReadSizeOr(reader, "intermediate_size",
                              static_cast<int>(expand) * d.hidden_size));
  ASSIGN_OR_RETURN(mixer.states, ReadSizeOr(reader, "state_size", 16));
  ASSIGN_OR_RETURN(mixer.conv_width, ReadSizeOr(reader, "conv_kernel", 4));
  const int automatic_rank = (d.hidden_size + 15) / 16;
  const nlohmann::json* rank = reader.Find("time_step_rank");
  if (rank != nullptr && rank->is_string() &&
      rank->get_ref<const std::string&>() == "auto") {
    mixer.step_rank = automatic_rank;
  } else {
    ASSIGN_OR_RETURN(mixer.step_rank,
                     ReadSizeOr(reader, "time_step_rank", automatic_rank));
  }
  ASSIGN_OR_RETURN(mixer.activation,
                   ReadActivation(reader, "hidden_act", "silu"));
  ASSIGN_OR_RETURN(const bool bias, reader.GetBoolOr("use_bias", false));
  ASSIGN_OR_RETURN(mixer.conv_bias, reader.GetBoolOr("use_conv_bias", true));
  mixer.in = {"mixer.in_proj", bias};
  mixer.selection.name = "mixer.x_proj";
  mixer.step = {"mixer.dt_proj", true};
  mixer.out = {"mixer.out_proj", bias};
  mixer.conv = "mixer.conv1d";
  mixer.a_log = "mixer.A_log";
  mixer.skip = "mixer.D";

  d.head.norm.name = "backbone.norm_f";
  d.head.norm.epsilon = epsilon;
  ASSIGN_OR_RETURN(d.head.tied, reader.GetBoolOr("tie_word_embeddings", true));
  d.head.output = "lm_head";
  return d;
}

}  // namespace quantd
