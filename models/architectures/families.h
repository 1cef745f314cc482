// The readers of config.json, one a family, each in the file of its name. The
// table in architectures.cc says which model_type each serves.
#ifndef QUANTD_MODELS_ARCHITECTURES_FAMILIES_H_
#define QUANTD_MODELS_ARCHITECTURES_FAMILIES_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/model_description.h"
#include "nlohmann/json_fwd.hpp"

namespace quantd {

using ConfigParser = absl::StatusOr<ModelDescription>(
    const nlohmann::json& config, absl::string_view origin);

ConfigParser ParseBertConfig;
ConfigParser ParseBloomConfig;
ConfigParser ParseFalconConfig;
ConfigParser ParseGemmaConfig;
ConfigParser ParseGemma2Config;
ConfigParser ParseGpt2Config;
ConfigParser ParseGptJConfig;
ConfigParser ParseGptNeoXConfig;
ConfigParser ParseLlamaConfig;
ConfigParser ParseMambaConfig;
ConfigParser ParseMistralConfig;
ConfigParser ParseMixtralConfig;
ConfigParser ParseMptConfig;
ConfigParser ParseOptConfig;
ConfigParser ParsePhiConfig;
ConfigParser ParsePhi3Config;
ConfigParser ParseQwen2Config;
ConfigParser ParseStableLmConfig;
ConfigParser ParseStarcoder2Config;

}  // namespace quantd

#endif  // QUANTD_MODELS_ARCHITECTURES_FAMILIES_H_
