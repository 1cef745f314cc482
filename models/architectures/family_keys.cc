#include "models/architectures/family_keys.h"

#include "nlohmann/json.hpp"

namespace quantd {
namespace {

nlohmann::json WithoutAliases(const nlohmann::json& config,
                              const FamilyKeys& keys) {
  nlohmann::json result = config;
  for (const KeyAlias& row : keys.aliases) {
    const auto found = config.find(std::string(row.alias));
    if (found == config.end() || found->is_null()) continue;
    result[std::string(row.key)] = *found;
  }
  return result;
}

}  // namespace

nlohmann::json CompletedConfig(const nlohmann::json& config,
                               const FamilyKeys& keys) {
  if (!config.is_object()) return config;
  nlohmann::json result = WithoutAliases(config, keys);
  for (const KeyDefault& row : keys.defaults) {
    // Only where the key is absent.
    result.emplace(std::string(row.key), row.value);
  }
  return result;
}

std::vector<std::string> FilledKeys(const nlohmann::json& config,
                                    const FamilyKeys& keys) {
  std::vector<std::string> filled;
  if (!config.is_object()) return filled;
  const nlohmann::json named = WithoutAliases(config, keys);
  for (const KeyDefault& row : keys.defaults) {
    std::string key(row.key);
    if (!named.contains(key)) filled.push_back(std::move(key));
  }
  return filled;
}

}  // namespace quantd
