// Qwen2 (Yang et al. 2024, arXiv:2407.10671): Llama with biases on query, key
// and value, and a sliding window for the upper blocks where it is switched on.
#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/architectures/llama_layout.h"
#include "models/config_reading.h"
#include "models/json_text.h"

namespace quantd {

absl::StatusOr<ModelDescription> ParseQwen2Config(const nlohmann::json& config,
                                                  absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d = LlamaLayout();
  RETURN_IF_ERROR(ReadLlamaConfig(reader, &d));
  AttentionDescription& attention = d.block.attention;
  SetQueryKeyValueBias(true, &attention);
  ASSIGN_OR_RETURN(const bool windowed,
                   reader.GetBoolOr("use_sliding_window", false));
  if (!windowed) return d;
  RETURN_IF_ERROR(ReadSlidingWindow(reader, &d));
  if (attention.windowed_blocks.empty()) {
    ASSIGN_OR_RETURN(const int64_t first,
                     reader.GetIntOr("max_window_layers", 28, 0, 4096));
    for (int k = 0; k < d.blocks; ++k) {
      attention.windowed_blocks.push_back(k >= first);
    }
  }
  return d;
}

}  // namespace quantd
