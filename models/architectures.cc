#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "models/architectures/llama.h"
#include "models/decoder.h"
#include "models/json_text.h"
#include "models/model_description.h"

namespace quantd {
namespace {

constexpr Architecture kArchitectures[] = {
    {"llama", ParseLlamaConfig},
};

}  // namespace

std::vector<absl::string_view> KnownArchitectures() {
  std::vector<absl::string_view> names;
  for (const Architecture& row : kArchitectures) {
    names.push_back(row.model_type);
  }
  return names;
}

absl::StatusOr<ModelDescription> ParseModelConfig(const nlohmann::json& config,
                                                  absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ASSIGN_OR_RETURN(const std::string type, reader.GetString("model_type"));
  for (const Architecture& row : kArchitectures) {
    if (row.model_type == type) return row.parse(config, origin);
  }
  return reader.Unsupported(
      "model_type",
      absl::StrCat("architecture ", Quoted(type), " is not one of ",
                   absl::StrJoin(KnownArchitectures(), ", ")));
}

absl::StatusOr<ModelDescription> DescribeModel(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(
      ModelDescription description,
      ParseModelConfig(checkpoint.config(),
                       absl::StrCat(checkpoint.directory(), "/config.json")));
  RETURN_IF_ERROR(CheckDecoderTensors(checkpoint, description));
  return description;
}

}  // namespace quantd
