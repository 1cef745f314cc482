#include "jobs/evaluated_models.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace quantd {

absl::StatusOr<OpenedModel> OpenModel(const std::string& directory) {
  OpenedModel opened;
  ASSIGN_OR_RETURN(opened.checkpoint, Checkpoint::Open(directory));
  ASSIGN_OR_RETURN(opened.description, DescribeModel(*opened.checkpoint));
  opened.footprint = FootprintOf(*opened.checkpoint, opened.description);
  return opened;
}

double BitsPerWeightOf(const Checkpoint& checkpoint) {
  const auto quantization = checkpoint.config().find("quantization_config");
  if (quantization == checkpoint.config().end() || !quantization->is_object()) {
    return 0;
  }
  const auto bits = quantization->find("bits_per_weight");
  return bits != quantization->end() && bits->is_number() ? bits->get<double>()
                                                          : 0;
}

absl::Status CheckSameTokenizer(const v1::Assignment& assignment,
                                const Tokenizer& tokenizer) {
  ASSIGN_OR_RETURN(
      const std::unique_ptr<Tokenizer> baseline,
      Annotate(LoadTokenizer(assignment.baseline_directory()), "baseline"));
  if (baseline->digest() != tokenizer.digest()) {
    return absl::InvalidArgumentError(absl::StrCat(
        assignment.input_name(), " (tokenizer ",
        tokenizer.digest().substr(0, 8), ") and its baseline ",
        assignment.baseline_name(), " (tokenizer ",
        baseline->digest().substr(0, 8),
        ") have different tokenizers: their predictions cannot be compared"));
  }
  if (baseline->leading_id() != tokenizer.leading_id()) {
    return absl::InvalidArgumentError(absl::StrCat(
        assignment.input_name(), " and its baseline ",
        assignment.baseline_name(),
        " begin a text differently (add_bos_token, bos_token): their "
        "predictions cannot be compared"));
  }
  return absl::OkStatus();
}

}  // namespace quantd
