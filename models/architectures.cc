#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/json_text.h"
#include "models/model_description.h"
#include "models/network/decoder.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

struct Architecture {
  absl::string_view model_type;
  ConfigParser* parse;
  const FamilyKeys* keys;
};

constexpr Architecture kArchitectures[] = {
    {"bert", ParseBertConfig, &kBertKeys},
    {"bloom", ParseBloomConfig, &kBloomKeys},
    {"falcon", ParseFalconConfig, &kFalconKeys},
    {"gemma", ParseGemmaConfig, &kGemmaKeys},
    {"gemma2", ParseGemma2Config, &kGemma2Keys},
    {"gpt2", ParseGpt2Config, &kGpt2Keys},
    {"gpt_neox", ParseGptNeoXConfig, &kGptNeoXKeys},
    {"gptj", ParseGptJConfig, &kGptJKeys},
    {"llama", ParseLlamaConfig, &kLlamaKeys},
    {"mamba", ParseMambaConfig, &kMambaKeys},
    {"mistral", ParseMistralConfig, &kMistralKeys},
    {"mixtral", ParseMixtralConfig, &kMixtralKeys},
    {"mpt", ParseMptConfig, &kMptKeys},
    {"opt", ParseOptConfig, &kOptKeys},
    {"phi", ParsePhiConfig, &kPhiKeys},
    {"phi3", ParsePhi3Config, &kPhi3Keys},
    {"qwen2", ParseQwen2Config, &kQwen2Keys},
    {"stablelm", ParseStableLmConfig, &kStableLmKeys},
    {"starcoder2", ParseStarcoder2Config, &kStarcoder2Keys},
};

// The row of `model_type`, or null.
const Architecture* FindArchitecture(absl::string_view model_type) {
  for (const Architecture& row : kArchitectures) {
    if (row.model_type == model_type) return &row;
  }
  return nullptr;
}

// A size that the file does not name may be why its tensors do not fit.
absl::Status WithFilledKeys(const absl::Status& status,
                            const Checkpoint& checkpoint,
                            const ModelDescription& description) {
  if (status.ok()) return status;
  const std::vector<std::string> filled = FilledKeys(
      checkpoint.config(), *FindArchitecture(description.architecture)->keys);
  if (filled.empty()) return status;
  return absl::Status(
      status.code(),
      absl::StrCat(status.message(), " (config.json does not name ",
                   absl::StrJoin(filled, ", "),
                   "; the family's published values were taken)"));
}

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
  const Architecture* row = FindArchitecture(type);
  if (row == nullptr) {
    return reader.Unsupported(
        "model_type",
        absl::StrCat("architecture ", Quoted(type), " (known: ",
                     absl::StrJoin(KnownArchitectures(), ", "), ")"));
  }
  ASSIGN_OR_RETURN(ModelDescription description,
                   row->parse(CompletedConfig(config, *row->keys), origin));
  description.architecture = type;
  return description;
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
  RETURN_IF_ERROR(WithFilledKeys(CheckDecoderTensors(checkpoint, description),
                                 checkpoint, description));
  return description;
}

}  // namespace quantd
