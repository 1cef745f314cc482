// Mistral 7B (Jiang et al. 2023, arXiv:2310.06825): Llama with a sliding
// window.
#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/architectures/family_keys.h"
#include "models/architectures/llama_layout.h"
#include "models/config_reading.h"
#include "models/json_text.h"

namespace quantd {

namespace {

constexpr KeyDefault kDefaults[] = {{"hidden_size", 4096},
                                    {"intermediate_size", 14336},
                                    {"num_hidden_layers", 32},
                                    {"num_attention_heads", 32},
                                    {"num_key_value_heads", 8},
                                    {"vocab_size", 32000},
                                    {"max_position_embeddings", 131072},
                                    {"sliding_window", 4096}};

}  // namespace

const FamilyKeys kMistralKeys = {{}, kDefaults};

absl::StatusOr<ModelDescription> ParseMistralConfig(
    const nlohmann::json& config, absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d = LlamaLayout();
  RETURN_IF_ERROR(ReadLlamaConfig(reader, &d));
  RETURN_IF_ERROR(ReadSlidingWindow(reader, &d));
  return d;
}

}  // namespace quantd
