#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/json_text.h"
#include "models/model_description.h"
#include "models/network/decoder.h"

namespace quantd {
namespace {

constexpr Architecture kArchitectures[] = {
    {"bert", ParseBertConfig},
    {"bloom", ParseBloomConfig},
    {"falcon", ParseFalconConfig},
    {"gemma", ParseGemmaConfig},
    {"gemma2", ParseGemma2Config},
    {"gpt2", ParseGpt2Config},
    {"gpt_neox", ParseGptNeoXConfig},
    {"gptj", ParseGptJConfig},
    {"llama", ParseLlamaConfig},
    {"mamba", ParseMambaConfig},
    {"mistral", ParseMistralConfig},
    {"mixtral", ParseMixtralConfig},
    {"mpt", ParseMptConfig},
    {"opt", ParseOptConfig},
    {"phi", ParsePhiConfig},
    {"phi3", ParsePhi3Config},
    {"qwen2", ParseQwen2Config},
    {"stablelm", ParseStableLmConfig},
    {"starcoder2", ParseStarcoder2Config},
};

// Checkpoints of a bare model, without its head's class around it, lack the
// prefix of every name ("wte.weight" for "transformer.wte.weight").
void DropBasePrefix(ModelDescription* d) {
  for (std::string* name :
       {&d->block_prefix, &d->embedding.tokens, &d->embedding.positions,
        &d->embedding.token_types, &d->embedding.norm.name,
        &d->embedding.projection.name, &d->head.norm.name,
        &d->head.projection.name}) {
    if (absl::StartsWith(*name, d->base_prefix)) {
      name->erase(0, d->base_prefix.size());
    }
  }
}

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
    if (row.model_type != type) continue;
    ASSIGN_OR_RETURN(ModelDescription description, row.parse(config, origin));
    description.architecture = type;
    return description;
  }
  return reader.Unsupported(
      "model_type",
      absl::StrCat("architecture ", Quoted(type), " (known: ",
                   absl::StrJoin(KnownArchitectures(), ", "), ")"));
}

absl::StatusOr<ModelDescription> DescribeModel(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(
      ModelDescription description,
      ParseModelConfig(checkpoint.config(),
                       absl::StrCat(checkpoint.directory(), "/config.json")));
  if (!checkpoint.Has(description.embedding.tokens + ".weight")) {
    ModelDescription bare = description;
    DropBasePrefix(&bare);
    if (checkpoint.Has(bare.embedding.tokens + ".weight")) description = bare;
  }
  RETURN_IF_ERROR(CheckDecoderTensors(checkpoint, description));
  return description;
}

}  // namespace quantd
