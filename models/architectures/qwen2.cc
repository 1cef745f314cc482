// Qwen2 (Yang et al. 2024, arXiv:2407.10671): Llama with biases on query, key
// and value, and a sliding window where it is switched on. The window holds for
// all blocks unless "layer_types" says otherwise: "max_window_layers" restricts
// it only in some of the reference's attention implementations, and no released
// checkpoint switches the window on.
#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/architectures/family_keys.h"
#include "models/architectures/llama_layout.h"
#include "models/config_reading.h"
#include "models/json_text.h"

namespace quantd {

namespace {

constexpr KeyDefault kDefaults[] = {{"hidden_size", 4096},
                                    {"intermediate_size", 22016},
                                    {"num_hidden_layers", 32},
                                    {"num_attention_heads", 32},
                                    {"num_key_value_heads", 32},
                                    {"vocab_size", 151936},
                                    {"max_position_embeddings", 32768},
                                    {"sliding_window", 4096}};

}  // namespace

const FamilyKeys kQwen2Keys = {{}, kDefaults};

absl::StatusOr<ModelDescription> ParseQwen2Config(const nlohmann::json& config,
                                                  absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d = LlamaLayout();
  RETURN_IF_ERROR(ReadLlamaConfig(reader, &d));
  SetQueryKeyValueBias(true, &d.block.attention);
  ASSIGN_OR_RETURN(const bool windowed,
                   reader.GetBoolOr("use_sliding_window", false));
  if (!windowed) return d;
  RETURN_IF_ERROR(ReadSlidingWindow(reader, &d));
  return d;
}

}  // namespace quantd
