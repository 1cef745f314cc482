// The readers of config.json, one a family, each in the file of its name. The
// table in architectures.cc says which model_type each serves.
#ifndef QUANTD_MODELS_ARCHITECTURES_FAMILIES_H_
#define QUANTD_MODELS_ARCHITECTURES_FAMILIES_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/architectures/family_keys.h"
#include "models/model_description.h"
#include "nlohmann/json_fwd.hpp"

namespace quantd {

using ConfigParser = absl::StatusOr<ModelDescription>(
    const nlohmann::json& config, absl::string_view origin);

extern const FamilyKeys kBertKeys;
extern const FamilyKeys kBloomKeys;
extern const FamilyKeys kFalconKeys;
extern const FamilyKeys kGemmaKeys;
extern const FamilyKeys kGemma2Keys;
extern const FamilyKeys kGpt2Keys;
extern const FamilyKeys kGptJKeys;
extern const FamilyKeys kGptNeoXKeys;
extern const FamilyKeys kLlamaKeys;
extern const FamilyKeys kMambaKeys;
extern const FamilyKeys kMistralKeys;
extern const FamilyKeys kMixtralKeys;
extern const FamilyKeys kMptKeys;
extern const FamilyKeys kOptKeys;
extern const FamilyKeys kPhiKeys;
extern const FamilyKeys kPhi3Keys;
extern const FamilyKeys kQwen2Keys;
extern const FamilyKeys kStableLmKeys;
extern const FamilyKeys kStarcoder2Keys;

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
