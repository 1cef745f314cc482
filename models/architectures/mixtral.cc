// Mixtral (Jiang et al. 2024, arXiv:2401.04088): Mistral with a mixture of
// experts.
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/architectures/family_keys.h"
#include "models/architectures/llama_layout.h"
#include "models/config_reading.h"
#include "models/json_text.h"

namespace quantd {

namespace {

constexpr KeyAlias kAliases[] = {{"num_experts", "num_local_experts"}};
constexpr KeyDefault kDefaults[] = {{"hidden_size", 4096},
                                    {"intermediate_size", 14336},
                                    {"num_hidden_layers", 32},
                                    {"num_attention_heads", 32},
                                    {"num_key_value_heads", 8},
                                    {"vocab_size", 32000},
                                    {"max_position_embeddings", 131072},
                                    {"rope_theta", 1000000}};

}  // namespace

const FamilyKeys kMixtralKeys = {kAliases, kDefaults};

absl::StatusOr<ModelDescription> ParseMixtralConfig(
    const nlohmann::json& config, absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d = LlamaLayout();
  RETURN_IF_ERROR(ReadLlamaConfig(reader, &d));
  if (!reader.Has("rms_norm_eps")) SetNormEpsilon(1e-5f, &d);
  RETURN_IF_ERROR(ReadSlidingWindow(reader, &d));
  FeedForwardDescription& part = d.block.feed_forward;
  ASSIGN_OR_RETURN(const int64_t experts,
                   reader.GetIntOr("num_local_experts", 8, 1, 4096));
  ASSIGN_OR_RETURN(const int64_t chosen,
                   reader.GetIntOr("num_experts_per_tok", 2, 1, 4096));
  if (chosen > experts) {
    return reader.Fault("num_experts_per_tok",
                        absl::StrCat(chosen, " of ", experts, " experts"));
  }
  part.experts = static_cast<int>(experts);
  part.experts_per_token = static_cast<int>(chosen);
  part.router = "block_sparse_moe.gate";
  part.experts_name = "block_sparse_moe.experts";
  part.gate.name = "w1";
  part.up.name = "w3";
  part.down.name = "w2";
  return d;
}

}  // namespace quantd
