#include "quantizers/stages/token_importance.h"

#include "absl/strings/str_cat.h"

namespace quantd {
namespace {

// --- Options ---------------------------------------------------------------

TokenWeighting WeightingFrom(const v1::TokenImportanceStage& options) {
  using Kind = TokenWeighting::Kind;
  using PerReader = TokenWeighting::PerReader;
  TokenWeighting weighting;
  switch (options.kind()) {
    case v1::TokenImportanceStage::INPUT_NORM:
      weighting.kind = Kind::kInputNorm;
      break;
    case v1::TokenImportanceStage::FIRST:
      weighting.kind = Kind::kFirst;
      break;
    default:
      weighting.kind = Kind::kAttention;
  }
  switch (options.per_reader()) {
    case v1::TokenImportanceStage::ROOT:
      weighting.per_reader = PerReader::kRoot;
      break;
    case v1::TokenImportanceStage::FULL:
      weighting.per_reader = PerReader::kFull;
      break;
    default:
      weighting.per_reader = PerReader::kNo;
  }
  weighting.least = options.least();
  weighting.first_share = options.first_share();
  return weighting;
}

// --- Stage -----------------------------------------------------------------

class TokenImportanceStage final : public Stage {
 public:
  explicit TokenImportanceStage(const v1::TokenImportanceStage& options) {
    needs_.token_weighting = WeightingFrom(options);
    needs_.window_copies = options.window_copies();
  }

  absl::string_view name() const override { return "token_importance"; }

  absl::Status ValidateModel(const ModelDescription& model) const override {
    if (model.block.feed_forward.experts > 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("token_importance: family ", model.architecture,
                       " has experts, which see only some of the tokens"));
    }
    const bool attends =
        model.block.mixer == BlockDescription::Mixer::kAttention;
    if (needs_.token_weighting.kind == TokenWeighting::Kind::kAttention &&
        !attends) {
      return absl::InvalidArgumentError(
          absl::StrCat("token_importance.kind: family ", model.architecture,
                       " has no attention"));
    }
    return absl::OkStatus();
  }

  absl::Status Validate(const LinearShape& /*layer*/) const override {
    return absl::OkStatus();
  }

  StatisticsRequest Needs() const override { return needs_; }

  StageCost Cost(const LinearShape& /*layer*/) const override { return {}; }

  absl::Status ProcessBlock(BlockWork& /*work*/,
                            ExecutionContext& ctx) override {
    return ctx.CheckCancelled();
  }

 private:
  StatisticsRequest needs_;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewTokenImportanceStage(
    const v1::TokenImportanceStage& options) {
  return std::make_unique<TokenImportanceStage>(options);
}

}  // namespace quantd
