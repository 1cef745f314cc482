// What a family's configuration class in the reference library knows beside
// config.json: older names of keys, and the value of a size that the file does
// not name. Files from which such keys were stripped mean these values.
//
// Thread-safe: constants and free functions over their arguments.
#ifndef QUANTD_MODELS_ARCHITECTURES_FAMILY_KEYS_H_
#define QUANTD_MODELS_ARCHITECTURES_FAMILY_KEYS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nlohmann/json_fwd.hpp"

namespace quantd {

// Where a file has both names, the alias decides, as it does in the reference.
struct KeyAlias {
  absl::string_view alias;
  absl::string_view key;
};

// For a key that is absent; one that is null stays null.
struct KeyDefault {
  absl::string_view key;
  int64_t value;
};

struct FamilyKeys {
  absl::Span<const KeyAlias> aliases;
  absl::Span<const KeyDefault> defaults;
};

// `config` with aliases resolved and absent keys filled in.
nlohmann::json CompletedConfig(const nlohmann::json& config,
                               const FamilyKeys& keys);

// The keys that CompletedConfig() fills in.
std::vector<std::string> FilledKeys(const nlohmann::json& config,
                                    const FamilyKeys& keys);

}  // namespace quantd

#endif  // QUANTD_MODELS_ARCHITECTURES_FAMILY_KEYS_H_
