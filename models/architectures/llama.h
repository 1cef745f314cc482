// Llama 1-3: RMS norm, rotary positions, grouped-query attention, SwiGLU.
// Configuration keys: transformers, LlamaConfig.
#ifndef QUANTD_MODELS_ARCHITECTURES_LLAMA_H_
#define QUANTD_MODELS_ARCHITECTURES_LLAMA_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/model_description.h"
#include "nlohmann/json_fwd.hpp"

namespace quantd {

absl::StatusOr<ModelDescription> ParseLlamaConfig(const nlohmann::json& config,
                                                  absl::string_view origin);

}  // namespace quantd

#endif  // QUANTD_MODELS_ARCHITECTURES_LLAMA_H_
