#include "models/model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/network/decoder.h"
#include "models/network/output_head.h"
#include "nlohmann/json.hpp"

namespace quantd {

absl::StatusOr<std::unique_ptr<Model>> Model::Open(
    std::shared_ptr<const Checkpoint> checkpoint, const ModelOptions& options) {
  ASSIGN_OR_RETURN(ModelDescription description, DescribeModel(*checkpoint));
  return OpenDescribed(std::move(checkpoint), std::move(description), options);
}

std::unique_ptr<Model> Model::OpenDescribed(
    std::shared_ptr<const Checkpoint> checkpoint, ModelDescription description,
    const ModelOptions& options) {
  return NewDecoder(std::move(checkpoint), std::move(description), options);
}

int64_t LogitTileTokens(const ModelDescription& description) {
  return std::min<int64_t>(description.vocabulary_size,
                           OutputHead::TileRows(description.embedding.width));
}

absl::StatusOr<const nlohmann::json*> CompressedLayerHeader(
    const Checkpoint& checkpoint, absl::string_view layer) {
  const nlohmann::json& config = checkpoint.config();
  const auto quantization = config.find("quantization_config");
  if (quantization == config.end() || quantization->is_null()) return nullptr;
  const std::string where =
      absl::StrCat(checkpoint.directory(), "/config.json: quantization_config");
  if (!quantization->is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": not an object"));
  }
  const auto method = quantization->find("quant_method");
  if (method == quantization->end() || !method->is_string()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": quant_method is missing"));
  }
  if (method->get_ref<const std::string&>() != kQuantMethod) {
    return absl::UnimplementedError(
        absl::StrCat(where, ": checkpoints of quant_method \"",
                     method->get_ref<const std::string&>(),
                     "\" cannot be read by this build"));
  }
  const auto layers = quantization->find(kLayerHeadersKey);
  if (layers == quantization->end() || !layers->is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": ", kLayerHeadersKey, " is missing"));
  }
  const auto header = layers->find(std::string(layer));
  if (header == layers->end()) return nullptr;
  if (!header->is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": layer ", layer, ": not an object"));
  }
  return &*header;
}

}  // namespace quantd
